#!/usr/bin/env python3
# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Which TLS connections of Python's are weft's, and what weft tells of them: tls_test.py, with weft and weft_core on PYTHONPATH"""
import asyncio
import ssl
import tempfile
import unittest

import weft
import weft_core
from test.test_asyncio import utils
from weft import streams


async def echo_a_line(server_context, client_context):
    """What the client's transport is at the end, once a line has come back."""
    async def echo(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_context)
    address = server.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(*address, ssl=client_context, server_hostname="localhost")
    writer.write(b"there and back\n")
    assert await reader.readline() == b"there and back\n"
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    return writer.transport


class TlsTest(unittest.TestCase):
    def setUp(self):
        asyncio.set_event_loop_policy(weft.EventLoopPolicy())
        self.addCleanup(asyncio.set_event_loop_policy, None)
        self.server, self.client = utils.simple_server_sslcontext(), utils.simple_client_sslcontext()

    def talk(self, *, by_weft, by_asyncio):
        before = weft.counts()
        transport = asyncio.run(echo_a_line(self.server, self.client))
        after = weft.counts()
        self.assertEqual([after[name] - before[name] for name in ("tls", "asyncio_tls")], [by_weft, by_asyncio])
        return transport

    def test_both_sides_are_weft_s(self):
        transport = self.talk(by_weft=2, by_asyncio=0)
        self.assertEqual(type(transport).__name__, "SSLTransport")
        self.assertIs(transport.get_extra_info("sslcontext"), self.client)
        self.assertEqual(transport.get_extra_info("nothing", 5), 5)

    def test_the_ssl_object_tells_of_the_connection(self):
        self.server.set_alpn_protocols(["first", "second"])
        self.client.set_alpn_protocols(["second"])
        self.client.maximum_version = ssl.TLSVersion.TLSv1_2
        told = self.talk(by_weft=2, by_asyncio=0).get_extra_info("ssl_object")
        self.assertEqual(told.version(), "TLSv1.2")
        self.assertEqual(told.cipher()[1], "TLSv1.2")
        self.assertEqual(told.selected_alpn_protocol(), "second")
        self.assertEqual(told.server_hostname, "localhost")
        self.assertIs(told.context, self.client)
        self.assertFalse(told.server_side)
        self.assertEqual(told.getpeercert(), {}, "it was not verified")
        self.assertIn(b"localhost", told.getpeercert(binary_form=True))

    def test_a_verified_certificate_is_a_dictionary_of_python_s(self):
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(utils.SIGNED_CERTFILE)
        self.client = ssl.create_default_context(cafile=utils.SIGNING_CA)
        told = self.talk(by_weft=2, by_asyncio=0).get_extra_info("peercert")
        self.assertEqual(told, utils.PEERCERT)

    def test_what_needs_an_object_of_cpython_s_is_left_to_asyncio(self):
        names = []
        self.server.sni_callback = lambda connection, name, context: names.append(name)
        self.talk(by_weft=1, by_asyncio=1)
        self.assertEqual(names, ["localhost"])
        self.server = utils.simple_server_sslcontext()
        with tempfile.NamedTemporaryFile() as log:
            self.client.keylog_filename = log.name
            self.talk(by_weft=1, by_asyncio=1)
            self.assertIn(b"CLIENT", log.read())

    def test_what_is_wrong_is_said_in_asyncio_s_words(self):
        async def connect(**options):
            await asyncio.open_connection("127.0.0.1", 1, **options)

        for text, options in (("check_hostname requires", {"ssl": ssl.create_default_context(), "server_hostname": ""}),
                              ("should be a positive number", {"ssl": self.client, "ssl_handshake_timeout": 0}),
                              ("only meaningful with ssl", {"ssl_shutdown_timeout": 1})):
            with self.assertRaisesRegex(ValueError, text):
                asyncio.run(connect(**options))

    def test_write_eof_is_not_implemented_as_asyncio_says(self):
        async def main():
            async def serve(reader, writer):
                writer.close()

            async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self.server) as server:
                address = server.sockets[0].getsockname()
                for module in (asyncio, streams):
                    reader, writer = await module.open_connection(*address, ssl=self.client, server_hostname="localhost")
                    self.assertIsInstance(writer.transport, weft_core.SSLTransport)
                    self.assertFalse(writer.can_write_eof())
                    for each in (writer, writer.transport):
                        with self.assertRaisesRegex(NotImplementedError, "can_write_eof"):
                            each.write_eof()
                    writer.close()
                    await writer.wait_closed()

        with asyncio.Runner(loop_factory=weft.new_event_loop) as runner:
            runner.run(main())


if __name__ == "__main__":
    unittest.main()
