#!/usr/bin/env python3
# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What CPython 3.11's tests do not ask of weft's streams: streams_test.py, with the package and the extension in PYTHONPATH."""
import asyncio
import gc
import unittest
import weakref

import weft
from test.test_asyncio import utils
from weft import streams


class StreamsTest(unittest.TestCase):
    def setUp(self):
        self.told = []
        self.loop = weft.Loop()
        self.loop.set_exception_handler(lambda loop, context: self.told.append(context))
        self.addCleanup(self.loop.close)

    def run_with(self, serve, talk, **options):
        """Talks to a server on a port of its own."""
        async def main():
            server = await streams.start_server(serve, "127.0.0.1", 0, **options)
            async with server:
                reader, writer = await streams.open_connection(*server.sockets[0].getsockname())
                try:
                    return await talk(reader, writer)
                finally:
                    writer.close()
        return self.loop.run_until_complete(main())

    async def wait_for_end(self, reader, writer):
        return await reader.read()

    def test_a_client_callback_that_fails_is_told_and_closes_the_connection(self):
        async def serve(reader, writer):
            raise ZeroDivisionError("no")
        self.assertEqual(self.run_with(serve, self.wait_for_end), b"")
        self.assertEqual([(c["message"], type(c["exception"])) for c in self.told],
                         [("Unhandled exception in client_connected_cb", ZeroDivisionError)])

    def test_a_plain_client_callback_that_fails_is_told_too(self):
        def serve(reader, writer):
            raise ZeroDivisionError("no")
        self.assertEqual(self.run_with(serve, self.wait_for_end), b"")
        self.assertEqual([type(c["exception"]) for c in self.told], [ZeroDivisionError])

    def test_a_cancelled_client_task_closes_the_connection(self):
        async def serve(reader, writer):
            asyncio.current_task().cancel()
            await asyncio.sleep(3600)
        self.assertEqual(self.run_with(serve, self.wait_for_end), b"")
        self.assertEqual(self.told, [])

    def test_a_client_callback_that_exits_leaves_the_loop(self):
        def serve(reader, writer):
            raise SystemExit(3)
        with self.assertRaises(SystemExit):
            self.run_with(serve, self.wait_for_end)

    def test_only_one_task_may_wait_for_data(self):
        async def talk(reader, writer):
            first = asyncio.create_task(reader.readline())
            await asyncio.sleep(0)
            with self.assertRaisesRegex(RuntimeError, "readexactly"):
                await reader.readexactly(2)
            writer.write(b"line\n")
            return await first

        async def serve(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()
        self.assertEqual(self.run_with(serve, talk), b"line\n")

    def test_several_separators_and_lines(self):
        async def serve(reader, writer):
            writer.writelines([b"one;two\n", b"three\nfour"])
            writer.write_eof()
            await reader.read()
            writer.close()

        async def talk(reader, writer):
            found = [await reader.readuntil((b"\n", b";"))] + [line async for line in reader]
            self.assertTrue(writer.can_write_eof())
            return found
        self.assertEqual(self.run_with(serve, talk), [b"one;", b"two\n", b"three\n", b"four"])

    def test_a_full_peer_holds_up_drain(self):
        size = 16 << 20

        async def serve(reader, writer):
            writer.write(str(len(await reader.readexactly(size))).encode())
            writer.close()

        async def talk(reader, writer):
            writer.write(bytes(size))
            draining = asyncio.create_task(writer.drain())
            await asyncio.sleep(0)
            self.assertFalse(draining.done())
            await draining
            return await reader.read()
        self.assertEqual(self.run_with(serve, talk), str(size).encode())

    def test_a_protocol_with_methods_of_its_own_is_asked(self):
        heard = []

        class Listening(streams.StreamReaderProtocol):
            def data_received(self, data):
                heard.append(data)
                super().data_received(data.upper())

        async def serve(reader, writer):
            writer.write(b"quiet\n")
            await reader.read()
            writer.close()

        async def main():
            async with await streams.start_server(serve, "127.0.0.1", 0) as server:
                reader = streams.StreamReader(loop=self.loop)
                transport, _ = await self.loop.create_connection(lambda: Listening(reader, loop=self.loop),
                                                                 *server.sockets[0].getsockname())
                line = await reader.readline()
                transport.close()
                return line
        self.assertEqual(self.loop.run_until_complete(main()), b"QUIET\n")
        self.assertEqual(heard, [b"quiet\n"])

    def test_start_tls_keeps_protocol_and_loop(self):
        async def serve(reader, writer):
            writer.write(await reader.readline())
            await writer.start_tls(utils.simple_server_sslcontext())
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        async def talk(reader, writer):
            writer.write(b"plain\n")
            line = await reader.readline()
            before = writer.transport
            await writer.start_tls(utils.simple_client_sslcontext(), server_hostname="localhost")
            self.assertIsNot(writer.transport, before)
            self.assertIs(writer.transport.get_protocol(), writer._protocol)
            self.assertIs(writer.transport._loop, self.loop)
            writer.write(b"hidden\n")
            return line + await reader.readline()
        self.assertEqual(self.run_with(serve, talk), b"plain\nhidden\n")

    def test_nothing_of_a_connection_is_left(self):
        left = weakref.WeakSet()

        async def serve(reader, writer):
            left.update((reader, writer, writer._protocol, writer.transport))
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async def talk(reader, writer):
            left.update((reader, writer, writer._protocol, writer.transport))
            writer.write(b"line\n")
            await reader.read()
            writer.close()
            await writer.wait_closed()
        self.run_with(serve, talk)
        gc.collect()
        self.assertEqual(set(left), set())

    def test_nothing_of_a_failed_connection_is_left(self):
        left = weakref.WeakSet()

        class Noted(streams.StreamReaderProtocol):
            def __init__(self, *args, **options):
                super().__init__(*args, **options)
                left.add(self)

        async def main():
            with self.assertRaises(OSError):
                await self.loop.create_unix_connection(lambda: Noted(streams.StreamReader(loop=self.loop), loop=self.loop), "/nowhere")
        self.loop.run_until_complete(main())
        gc.collect()
        self.assertEqual(set(left), set())

    def test_a_context_that_weft_cannot_use_is_for_asyncio(self):
        context, names = utils.simple_server_sslcontext(), []
        context.sni_callback = lambda connection, name, context: names.append(name)

        async def serve(reader, writer):
            writer.write(await reader.readline())
            writer.close()
            await writer.wait_closed()

        async def main():
            async with await streams.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
                reader, writer = await streams.open_connection(*server.sockets[0].getsockname(), ssl=utils.simple_client_sslcontext(),
                                                               server_hostname="localhost")
                writer.write(b"line\n")
                line = await reader.readline()
                writer.close()
                await writer.wait_closed()
                return line
        self.assertEqual(self.loop.run_until_complete(main()), b"line\n")
        self.assertEqual(names, ["localhost"])


if __name__ == "__main__":
    unittest.main()
