# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Subject "asyncio": Python's own loop, weft's other model."""

import asyncio
import os
import ssl
import sys
from functools import partial
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "common"))
from meter import deadlines, moment, resident_bytes, subject_main  # noqa: E402


async def yield_among(tasks, meter):
    async def other():
        while True:
            await asyncio.sleep(0)

    async def batch(rounds):
        for _ in range(rounds):
            await asyncio.sleep(0)

    others = [asyncio.create_task(other()) for _ in range(tasks - 1)]
    await meter.run(batch, tasks)
    for task in others:
        task.cancel()


async def nothing():
    pass


async def spawn_join(children, meter):
    async def batch(count):
        for _ in range(count):
            async with asyncio.TaskGroup() as group:
                for _ in range(children):
                    group.create_task(nothing())

    await meter.run(batch, children)


async def channel_rendezvous(meter):
    """asyncio has no rendezvous; a queue of one place is what comes nearest."""

    async def batch(count):
        queue = asyncio.Queue(1)

        async def put_all():
            for value in range(count):
                await queue.put(value)

        sender = asyncio.create_task(put_all())
        for _ in range(count):
            await queue.get()
        await sender

    await meter.run(batch)


async def scope_deadline(others, meter):
    length = deadlines()
    loop = asyncio.get_running_loop()

    async def batch(count):
        for _ in range(count):
            async with asyncio.timeout(next(length)):
                pass

    outstanding = [loop.call_later(next(length), nothing) for _ in range(others)]
    await meter.run(batch)
    del outstanding


async def call_soon(callbacks, meter):
    loop = asyncio.get_running_loop()

    async def batch(count):
        left = count
        done = loop.create_future()

        def requeue():
            nonlocal left
            left -= 1
            if left >= 0:
                loop.call_soon(requeue)
            elif not done.done():
                done.set_result(None)

        for _ in range(callbacks):
            loop.call_soon(requeue)
        await done

    await meter.run(batch)


def future_set_by_callback(loop):
    future = loop.create_future()
    loop.call_soon(future.set_result, 1)
    return future


async def await_future(meter):
    loop = asyncio.get_running_loop()

    async def batch(count):
        for _ in range(count):
            await future_set_by_callback(loop)

    await meter.run(batch)


async def callback_chain(meter):
    loop = asyncio.get_running_loop()

    async def batch(count):
        left = count
        done = loop.create_future()

        def hop(first, *rest):
            nonlocal left
            left -= 1
            if left >= 0:
                loop.call_soon(hop, first + 1, *rest)
            elif not done.done():
                done.set_result(None)

        for i in range(10):
            loop.call_soon(hop, i, 0, 0, 0, 0)
        await done

    await meter.run(batch)


async def gather(gathered, meter):
    loop = asyncio.get_running_loop()

    async def batch(count):
        for _ in range(count):
            await asyncio.gather(*[future_set_by_callback(loop) for _ in range(gathered)])

    await meter.run(batch, gathered)


async def future_chain(meter):
    loop = asyncio.get_running_loop()

    async def batch(count):
        left = count + 1
        end = loop.create_future()

        def link(_=None):
            nonlocal left
            left -= 1
            if left == 0:
                end.set_result(None)
                return
            following = loop.create_future()
            following.add_done_callback(link)
            following.set_result(None)

        loop.call_soon(link)
        await end

    await meter.run(batch)


async def timer_churn(timers, meter):
    length = deadlines()
    loop = asyncio.get_running_loop()
    armed = [loop.call_later(next(length), nothing) for _ in range(timers)]
    place = 0

    async def batch(count):
        nonlocal place
        for _ in range(count):
            armed[place].cancel()
            armed[place] = loop.call_later(next(length), nothing)
            place = (place + 1) % timers

    await meter.run(batch)
    for timer in armed:
        timer.cancel()


async def blocking_callback(meter):
    """A callback cannot wait: it starts a task for what comes after."""
    loop = asyncio.get_running_loop()

    async def batch(count):
        done = loop.create_future()
        left = count

        async def wait():
            nonlocal left
            await future_set_by_callback(loop)
            left -= 1
            if left > 0:
                loop.call_soon(callback)
            else:
                done.set_result(None)

        def callback():
            callback.task = loop.create_task(wait())

        loop.call_soon(callback)
        await done

    await meter.run(batch)


async def park(tasks):
    async def wait_for_ever():
        await asyncio.get_running_loop().create_future()

    parked = [asyncio.create_task(wait_for_ever()) for _ in range(tasks)]
    await asyncio.sleep(0)
    return parked


async def cancel_parked(meter):
    tasks = 10_000
    while meter.more():
        parked = await park(tasks)
        start = moment()
        for task in parked:
            task.cancel()
        await asyncio.wait(parked)
        meter.add(start, tasks)


async def parked_memory(meter):
    tasks = 100_000
    before = resident_bytes()
    parked = await park(tasks)
    meter.set_memory(before, tasks)
    del parked


async def nursery_open_close(meter):
    async def batch(count):
        for _ in range(count):
            async with asyncio.TaskGroup():
                pass

    await meter.run(batch)


async def event_wake(meter):
    """Two tasks take turns: each sets the event that the other waits for."""

    async def batch(count):
        events = [None, asyncio.Event()]

        async def play(me):
            for _ in range(count):
                events[me] = mine = asyncio.Event()
                events[1 - me].set()
                await mine.wait()

        async def second(start):
            await start.wait()
            await play(1)

        other = asyncio.create_task(second(events[1]))
        await play(0)
        events[1].set()
        await other

    await meter.run(batch, 2)


async def lock_uncontended(meter):
    lock = asyncio.Lock()

    async def batch(count):
        for _ in range(count):
            await lock.acquire()
            lock.release()

    await meter.run(batch)


async def to_thread(meter):
    async def batch(count):
        for _ in range(count):
            await asyncio.to_thread(int)

    await meter.run(batch)


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def tcp_echo(meter):
    """Serves until it is killed: see common/echo.h."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=4096)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class DatagramEcho(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


async def datagram_echo(meter):
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(DatagramEcho, local_addr=("127.0.0.1", 0))
    print("port", transport.get_extra_info("sockname")[1], flush=True)
    await loop.create_future()


async def sync_loop(meter):
    """A loop run until a future is done, and again; in a thread, as this one runs a loop."""
    make = type(asyncio.get_running_loop())

    def measure():
        loop = make()
        while meter.more():
            start = moment()
            for _ in range(500):
                answer = loop.create_future()
                loop.call_soon(answer.set_result, 1)
                loop.run_until_complete(answer)
            meter.add(start, 500)
        loop.close()

    await asyncio.to_thread(measure)


class BufferedEcho(asyncio.BufferedProtocol):
    def connection_made(self, transport):
        self.transport = transport
        self.buffer = memoryview(bytearray(4096))

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        self.transport.write(self.buffer[:nbytes])


async def buffered_echo(meter):
    server = await asyncio.get_running_loop().create_server(BufferedEcho, "127.0.0.1", 0, backlog=4096)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def tls_echo(meter):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["WEFT_BENCH_CERTIFICATE"])
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=4096, ssl=context)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def stream_echo(meter):
    async def echo(reader, writer):
        try:
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
        except ConnectionError:  # The client was killed.
            pass
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=4096)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Child(asyncio.SubprocessProtocol):
    def __init__(self, gone):
        self.gone = gone

    def connection_lost(self, exc):
        self.gone.set_result(None)


async def subprocess_spawn(meter):
    loop = asyncio.get_running_loop()

    async def batch(count):
        for _ in range(count):
            gone = loop.create_future()
            await loop.subprocess_exec(lambda: Child(gone), "/bin/true", stdin=asyncio.subprocess.DEVNULL, stderr=None)
            await gone

    await meter.run(batch)


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
    "task_switch/coroutine": await_future,
    "callback_chain": callback_chain,
    "future_chain": future_chain,
    "gather/1000": partial(gather, 1000),
    "queue": channel_rendezvous,
    "timer_churn/1000000": partial(timer_churn, 1_000_000),
    "blocking_callback": blocking_callback,
    "nursery_open_close": nursery_open_close,
    "event_wake": event_wake,
    "lock_uncontended": lock_uncontended,
    "to_thread": to_thread,
    "tcp_echo/1": tcp_echo,
    "tcp_echo/100": tcp_echo,
    "tcp_echo/1000": tcp_echo,
    "protocol_echo/1": tcp_echo,
    "protocol_echo/100": tcp_echo,
    "protocol_echo/1000": tcp_echo,
    "buffered_echo/100": buffered_echo,
    "datagram_echo/100": datagram_echo,
    "sync_loop": sync_loop,
    "stream_echo/1": stream_echo,
    "stream_echo/100": stream_echo,
    "stream_echo/1000": stream_echo,
    "tls_echo/100": tls_echo,
    "subprocess_spawn": subprocess_spawn,
    "cancel_parked/10000": cancel_parked,
    "parked_memory/1000000": parked_memory,
}

if __name__ == "__main__":
    subject_main("asyncio", WORKS, lambda main: asyncio.run(main()))
