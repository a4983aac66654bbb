# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Subject "trio": Python's Trio, weft's model."""

import contextlib
import sys
from functools import partial
from pathlib import Path

import trio
import trio.testing

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "common"))
from meter import deadlines, moment, resident_bytes, subject_main  # noqa: E402


async def yield_among(tasks, meter):
    async def other():
        while True:
            await trio.lowlevel.checkpoint()

    async def batch(rounds):
        for _ in range(rounds):
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(tasks - 1):
            nursery.start_soon(other)
        await meter.run(batch, tasks)
        nursery.cancel_scope.cancel()


async def nothing():
    pass


async def spawn_join(children, meter):
    async def batch(count):
        for _ in range(count):
            async with trio.open_nursery() as nursery:
                for _ in range(children):
                    nursery.start_soon(nothing)

    await meter.run(batch, children)


async def channel_rendezvous(meter):
    async def send_all(sender, count):
        async with sender:
            for value in range(count):
                await sender.send(value)

    async def batch(count):
        sender, receiver = trio.open_memory_channel(0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_all, sender, count)
            async for _ in receiver:
                pass

    await meter.run(batch)


async def scope_deadline(others, meter):
    """The others are scopes of the same task, around the measured one: a million tasks would not fit."""
    length = deadlines()

    async def batch(count):
        for _ in range(count):
            with trio.move_on_after(next(length)):
                pass

    with contextlib.ExitStack() as stack:
        for _ in range(others):
            stack.enter_context(trio.move_on_after(next(length)))
        await meter.run(batch)
        meter.finish()


async def call_soon(callbacks, meter):
    """Trio's own queue of callbacks: TrioToken.run_sync_soon."""
    token = trio.lowlevel.current_trio_token()

    async def batch(count):
        left = count
        done = trio.Event()

        def requeue():
            nonlocal left
            left -= 1
            if left >= 0:
                token.run_sync_soon(requeue)
            else:
                done.set()

        for _ in range(callbacks):
            token.run_sync_soon(requeue)
        await done.wait()

    await meter.run(batch)


async def await_future(meter):
    """An Event, set by a callback, stands for the future, which Trio does not have."""
    token = trio.lowlevel.current_trio_token()

    async def batch(count):
        for _ in range(count):
            event = trio.Event()
            token.run_sync_soon(event.set)
            await event.wait()

    await meter.run(batch)


async def cancel_parked(meter):
    tasks = 10_000
    while meter.more():
        async with trio.open_nursery() as nursery:
            for _ in range(tasks):
                nursery.start_soon(trio.sleep_forever)
            await trio.testing.wait_all_tasks_blocked()
            start = moment()
            nursery.cancel_scope.cancel()
        meter.add(start, tasks)


async def parked_memory(meter):
    tasks = 100_000
    before = resident_bytes()
    async with trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(trio.sleep_forever)
        await trio.testing.wait_all_tasks_blocked()
        meter.set_memory(before, tasks)
        meter.finish()


async def nursery_open_close(meter):
    async def batch(count):
        for _ in range(count):
            async with trio.open_nursery():
                pass

    await meter.run(batch)


async def event_wake(meter):
    """Two tasks take turns: each sets the event that the other waits for."""

    async def batch(count):
        events = [None, trio.Event()]

        async def play(me):
            for _ in range(count):
                events[me] = mine = trio.Event()
                events[1 - me].set()
                await mine.wait()

        async def second(start):
            await start.wait()
            await play(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(second, events[1])
            await play(0)
            events[1].set()

    await meter.run(batch, 2)


async def lock_uncontended(meter):
    lock = trio.Lock()

    async def batch(count):
        for _ in range(count):
            await lock.acquire()
            lock.release()

    await meter.run(batch)


async def to_thread(meter):
    async def batch(count):
        for _ in range(count):
            await trio.to_thread.run_sync(int)

    await meter.run(batch)


async def tcp_echo(meter):
    """Serves until it is killed: see common/echo.h."""

    async def echo(stream):
        while data := await stream.receive_some(4096):
            await stream.send_all(data)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=4096)
    print("port", listeners[0].socket.getsockname()[1], flush=True)
    await trio.serve_listeners(echo, listeners)


WORKS = {
    "yield/2": partial(yield_among, 2),
    "yield/100": partial(yield_among, 100),
    "yield/10000": partial(yield_among, 10_000),
    "spawn_join": partial(spawn_join, 1),
    "spawn_join/100": partial(spawn_join, 100),
    "channel_rendezvous": channel_rendezvous,
    "scope_deadline/1": partial(scope_deadline, 1),
    "scope_deadline/1000000": partial(scope_deadline, 1_000_000),
    "call_soon": partial(call_soon, 100),
    "call_soon/1": partial(call_soon, 1),
    "await_future": await_future,
    "nursery_open_close": nursery_open_close,
    "event_wake": event_wake,
    "lock_uncontended": lock_uncontended,
    "to_thread": to_thread,
    "tcp_echo/1": tcp_echo,
    "tcp_echo/100": tcp_echo,
    "tcp_echo/1000": tcp_echo,
    "cancel_parked/10000": cancel_parked,
    "parked_memory/1000000": parked_memory,
}

if __name__ == "__main__":
    subject_main("trio", WORKS, trio.run)
