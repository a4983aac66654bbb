#!/usr/bin/env python3
# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""An echo server of asyncio's streams on weft's loop, and three clients, who take turns because each waits for its answer.

  PYTHONPATH=build/dev/tests/conformance/cpython/python:tests/conformance/cpython tests/conformance/cpython/examples/echo_server.py

Prints:
  client 0: hello 0
  client 1: hello 1
  client 2: hello 2
  by weft: True
"""
import asyncio
import sys

import weft


async def echo(reader, writer):
    async for line in reader:
        writer.write(line)
        await writer.drain()
    writer.close()


async def ask(port, number):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"hello {number}\n".encode())
    writer.write_eof()
    answer = await reader.read()  # Until the server has ended the connection, and its task.
    writer.close()
    await writer.wait_closed()
    return answer.decode().strip()


async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for number, answer in enumerate(await asyncio.gather(*(ask(port, n) for n in range(3)))):
            print(f"client {number}: {answer}")
    print("by weft:", isinstance(asyncio.get_running_loop(), weft.Loop))


if sys.version_info >= (3, 12):
    asyncio.run(main(), loop_factory=weft.new_event_loop)
else:
    asyncio.set_event_loop_policy(weft.EventLoopPolicy())
    asyncio.run(main())
