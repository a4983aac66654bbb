# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Subject "trio_asyncio": the border's model. No package of Debian 12 has it: PYTHONPATH says where it is."""

import asyncio
import sys
import warnings
from pathlib import Path

import trio
import trio_asyncio

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "common"))
from meter import subject_main  # noqa: E402


async def plus_one(question):
    return question + 1


async def aio_as_trio(meter):
    async def batch(count):
        answer = trio_asyncio.aio_as_trio(plus_one)
        for _ in range(count):
            await answer(1)

    async with trio_asyncio.open_loop():
        await meter.run(batch)
        meter.finish()


async def trio_as_aio(meter):
    async def tasks(count):
        answer = trio_asyncio.trio_as_aio(plus_one)
        for _ in range(count):
            await answer(1)

    async def batch(count):
        await trio_asyncio.aio_as_trio(tasks)(count)

    async with trio_asyncio.open_loop():
        await meter.run(batch)
        meter.finish()


async def await_future(meter):
    async def batch(count):
        loop = asyncio.get_running_loop()
        for _ in range(count):
            future = loop.create_future()
            loop.call_soon(future.set_result, 1)
            await trio_asyncio.run_aio_future(future)

    async with trio_asyncio.open_loop():
        await meter.run(batch)
        meter.finish()


async def open_loop(meter):
    async def batch(count):
        for _ in range(count):
            async with trio_asyncio.open_loop():
                pass

    await meter.run(batch)


WORKS = {
    "await_future": await_future,
    "wait_for_callback": await_future,
    "trio_as_aio": trio_as_aio,
    "aio_as_trio/coroutine": aio_as_trio,
    "open_loop": open_loop,
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    subject_main("trio_asyncio", WORKS, trio.run)
