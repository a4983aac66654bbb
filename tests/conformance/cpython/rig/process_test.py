#!/usr/bin/env python3
# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What CPython's tests do not ask of weft's Process: process_test.py, with the package and the extension in PYTHONPATH."""
import asyncio
import gc
import signal
import unittest
import weakref

import weft
from weft import streams
from weft.subprocess import PIPE, STDOUT, Process, create_subprocess_exec, create_subprocess_shell


class ProcessTest(unittest.TestCase):
    def setUp(self):
        self.loop = weft.Loop()
        self.told = []
        self.loop.set_exception_handler(lambda loop, context: self.told.append(context))
        self.addCleanup(self.loop.close)

    def tearDown(self):
        self.assertEqual(self.told, [])

    def run_main(self, main):
        return self.loop.run_until_complete(main())

    def test_its_streams_are_weft_s(self):
        async def main():
            child = await create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE, stderr=PIPE)
            kinds = [type(each) for each in (child, child.stdin, child.stdout, child.stderr)]
            self.assertEqual(kinds, [Process, streams.StreamWriter, streams.StreamReader, streams.StreamReader])
            self.assertIs(child.stdin.transport, child._transport.get_pipe_transport(0))
            self.assertEqual(child._transport.get_pid(), child.pid)
            child.stdin.write(b"one\ntwo\n")
            await child.stdin.drain()
            line = await child.stdout.readline()
            child.stdin.close()
            await child.stdin.wait_closed()
            return line, await child.stdout.read(), await child.wait(), child.returncode
        self.assertEqual(self.run_main(main), (b"one\n", b"two\n", 0, 0))

    def test_communicate_takes_much_of_both_outputs(self):
        async def main():
            child = await create_subprocess_shell("tee /dev/stderr", stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=10)
            return await child.communicate(bytes(1 << 20))
        self.assertEqual(self.run_main(main), (bytes(1 << 20), bytes(1 << 20)))

    def test_a_cancelled_communicate_loses_nothing(self):
        async def main():
            child = await create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            first = asyncio.create_task(child.communicate(b"data"))
            await asyncio.sleep(0)
            first.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await first
            return await child.communicate()
        self.assertEqual(self.run_main(main), (b"data", None))

    def test_stderr_goes_with_stdout(self):
        async def main():
            child = await create_subprocess_shell("echo no >&2; exit 3", stdout=PIPE, stderr=STDOUT)
            return await child.communicate(), child.returncode
        self.assertEqual(self.run_main(main), ((b"no\n", None), 3))

    def test_input_without_a_pipe_is_refused(self):
        async def main():
            child = await create_subprocess_exec("true")
            with self.assertRaisesRegex(RuntimeError, "stdin"):
                await child.communicate(b"data")
            return await child.wait()
        self.assertEqual(self.run_main(main), 0)

    def test_signals(self):
        async def main():
            children = [await create_subprocess_exec("sleep", "3600") for _ in range(3)]
            children[0].kill()
            children[1].terminate()
            children[2].send_signal(signal.SIGUSR1)
            codes = [await child.wait() for child in children]
            with self.assertRaises(ProcessLookupError):
                children[0].kill()
            return codes
        self.assertEqual(self.run_main(main), [-signal.SIGKILL, -signal.SIGTERM, -signal.SIGUSR1])

    def test_a_program_that_is_not_there(self):
        async def main():
            with self.assertRaises(FileNotFoundError):
                await create_subprocess_exec("/nowhere/at/all", stdin=PIPE, stdout=PIPE)
        self.run_main(main)

    def test_options_reach_the_child(self):
        async def main():
            child = await create_subprocess_shell('echo "$NAME in $PWD"', stdout=PIPE, cwd="/", env={"NAME": "weft"})
            return (await child.communicate())[0]
        self.assertEqual(self.run_main(main), b"weft in /\n")

    def test_nothing_of_a_child_is_left(self):
        left = weakref.WeakSet()

        async def main():
            child = await create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            left.update((child, child.stdin, child.stdout, child._transport, child.stdin.transport))
            await child.communicate(b"data")
        self.run_main(main)
        gc.collect()
        self.assertEqual(set(left), set())

    def test_on_a_loop_of_asyncio_s_it_is_asyncio_s(self):
        async def main():
            child = await create_subprocess_exec("true")
            self.assertNotIsInstance(child, Process)
            return await child.wait()
        with asyncio.Runner() as runner:
            self.assertEqual(runner.run(main()), 0)


if __name__ == "__main__":
    unittest.main()
