#!/usr/bin/env python3
# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What debug mode tells of slow callbacks, whoever's they are: debug_test.py, with the package and the extension in PYTHONPATH."""
import asyncio
import gc
import unittest
import weakref

import weft
from weft import primitives, streams


class SlowCallbackTest(unittest.TestCase):
    def setUp(self):
        self.loop = weft.Loop()
        self.addCleanup(self.loop.close)
        self.loop.set_debug(True)
        self.loop.slow_callback_duration = 0  # All are slow.

    def told(self, main):
        with self.assertLogs("asyncio", "WARNING") as logs:
            self.loop.run_until_complete(main())
        return [line for line in logs.output if "Executing" in line]

    def test_callbacks_tasks_and_futures_are_named(self):
        def of_a_handle():
            pass

        def of_a_future(future):
            pass

        async def main():
            self.loop.call_soon(of_a_handle)
            future = self.loop.create_future()
            future.add_done_callback(of_a_future)
            future.set_result(None)
            await asyncio.sleep(0)
        told = "\n".join(self.told(main))
        for name in ("of_a_handle", "of_a_future", "Task"):
            self.assertIn(name, told)

    def test_callbacks_of_cpp_s_own_are_told_by_their_place(self):
        async def serve(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        async def talk(address):
            reader, writer = await streams.open_connection(*address)
            writer.write(b"line\n")
            await reader.read()
            writer.close()
            await writer.wait_closed()

        async def main():
            async with await streams.start_server(serve, "127.0.0.1", 0) as server:
                address = server.sockets[0].getsockname()
                for _ in range(20):
                    await primitives.gather(*[primitives.wait_for(talk(address), 60) for _ in range(5)])
                    self.loop.call_soon(lambda: None)
                    gc.collect()
        told = self.told(main)
        self.assertTrue([line for line in told if ".cc:" in line or ".h:" in line], told[:10])

    def test_what_was_called_last_is_not_kept(self):
        class Callable:
            def __call__(self):
                pass

        called = Callable()
        gone = weakref.ref(called)
        self.loop.slow_callback_duration = 60
        self.loop.call_soon(called)
        self.loop.call_soon(self.loop.stop)
        del called
        self.loop.run_forever()
        gc.collect()
        self.assertIsNone(gone())


if __name__ == "__main__":
    unittest.main()
