#!/usr/bin/env python3
# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What CPython's tests do not ask of jobs in other threads: threads_test.py, with the package and the extension in PYTHONPATH.

Each script runs in an interpreter of its own, whose end is a part of the test.
"""
import subprocess
import sys
import textwrap
import unittest


class JobsTest(unittest.TestCase):
    def run_script(self, script, status=0):
        begin = """
            import asyncio, os, sys, threading, weft
            from concurrent.futures import ThreadPoolExecutor
            from weft.primitives import to_thread
            from weft.runners import run
            asyncio.set_event_loop_policy(weft.EventLoopPolicy())
            gate = threading.Event()
        """
        done = subprocess.run([sys.executable, "-B", "-W", "default", "-c", textwrap.dedent(begin) + textwrap.dedent(script)], timeout=60,
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (status, ""))
        return done.stdout.split()

    def test_the_interpreter_ends_after_the_jobs_of_a_closed_loop(self):
        self.assertEqual(self.run_script("""
            loop = weft.Loop()
            jobs = [loop.run_in_executor(None, lambda i=i: (gate.wait(), print(i, flush=True))) for i in range(3)]
            jobs[1].cancel()
            loop.close()
            print("closed", flush=True)
            threading.Timer(0.05, gate.set).start()
        """)[:1], ["closed"])

    def test_a_job_that_outlives_its_future_ends_where_nobody_has_the_lock(self):
        self.assertEqual(self.run_script("""
            class Noted:
                def __del__(self):
                    print("dropped", flush=True)
            def job():
                gate.wait()
                return Noted()
            def fail():
                gate.wait()
                1 / 0
            async def main():
                loop = asyncio.get_running_loop()
                jobs = [loop.run_in_executor(None, fn) for fn in (job, fail)]
                await asyncio.sleep(0.01)
                print(*[job.cancel() for job in jobs])
                gate.set()
            run(main())
        """), ["True", "True", "dropped"])

    def test_a_childs_end_does_not_wait_for_the_parents_jobs(self):
        self.assertEqual(self.run_script("""
            loop = weft.Loop()
            loop.run_in_executor(None, gate.wait)
            child = os.fork()
            if child == 0:
                print("child", flush=True)
                sys.exit(0)
            print("parent", os.waitpid(child, 0)[1], flush=True)
            gate.set()
            loop.close()
        """), ["child", "parent", "0"])

    def test_the_interpreter_ends_while_a_job_of_a_closed_loop_gives_its_value_back(self):
        # They meet by chance, in one process of ten, so in many.
        self.assertEqual(self.run_script("""
            def close_while_it_works(fails):
                started = threading.Event()
                def job():
                    started.set()
                    gate.wait()
                    if fails:
                        1 / 0
                loop = weft.Loop()
                loop.run_in_executor(None, job)
                started.wait()
                gate.set()
                loop.close()
                sys.exit(0)
            ends = set()
            for i in range(60):
                child = os.fork()
                if child == 0:
                    close_while_it_works(fails=i % 2 == 0)
                ends.add(os.waitpid(child, 0)[1])
            print(*ends)
        """), ["0"])

    def test_a_loop_that_nobody_closes_has_a_job(self):
        for job in ("lambda: 5", "lambda: 1 / 0", "lambda: gate.wait(0.01)"):
            with self.subTest(job):
                self.assertEqual(self.run_script(f"""
                    loop = weft.Loop()
                    loop.run_in_executor(None, {job})
                    kept = loop.run_in_executor(None, {job})
                    print("end", flush=True)
                """), ["end"])

    def test_a_job_comes_too_late(self):
        self.assertEqual(self.run_script("""
            import atexit
            loop = weft.Loop()
            loop.run_until_complete(loop.run_in_executor(None, int))
            @atexit.register
            def late():
                try:
                    loop.run_in_executor(None, print, "never")
                except RuntimeError as error:
                    print(error, flush=True)
                loop.close()
        """), "cannot schedule new futures after interpreter shutdown".split())

    def test_an_executor_of_pythons_becomes_the_default_one(self):
        self.assertEqual(self.run_script("""
            async def main():
                loop = asyncio.get_running_loop()
                own = ThreadPoolExecutor(1, thread_name_prefix="own")
                loop.set_default_executor(own)
                print(await to_thread(lambda: threading.current_thread().name))
                print(await loop.run_in_executor(None, lambda: threading.current_thread().name))
                own.submit(gate.wait)
                waiting = loop.run_in_executor(None, print, "never")
                own.shutdown(wait=False, cancel_futures=True)
                gate.set()
                try:
                    await waiting
                except asyncio.CancelledError:
                    print("cancelled")
                try:
                    loop.run_in_executor(None, print)
                except RuntimeError:
                    print("refused")
            run(main())
        """), ["own_0", "own_0", "cancelled", "refused"])

    def test_the_loops_own_executor_is_replaced_while_it_works(self):
        self.assertEqual(self.run_script("""
            async def main():
                loop = asyncio.get_running_loop()
                job = loop.run_in_executor(None, gate.wait)
                loop.set_default_executor(ThreadPoolExecutor(1))
                gate.set()
                print(await job)
            run(main())
        """), ["True"])


if __name__ == "__main__":
    unittest.main()
