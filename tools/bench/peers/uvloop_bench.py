# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Subject "uvloop": asyncio on libuv, where the loop makes a difference."""

import asyncio
import sys

sys.dont_write_bytecode = True
import asyncio_bench  # noqa: E402
import uvloop  # noqa: E402


def run(main):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


WORKS = {name: work for name, work in asyncio_bench.WORKS.items()
         if name.startswith(("tcp_echo/", "protocol_echo/", "buffered_echo/", "stream_echo/", "datagram_echo/", "sync_loop", "tls_echo/", "subprocess_spawn", "call_soon", "callback_chain", "gather/", "queue", "to_thread"))}

if __name__ == "__main__":
    asyncio_bench.subject_main("uvloop", WORKS, run)
