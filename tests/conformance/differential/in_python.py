# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Carries a program out on Python's asyncio, on a clock that jumps, and returns its trace."""
import asyncio
import selectors
import sys

from program import END, has_group


class Tie(Exception):
    """Two timers fall due together."""


class Jumping(selectors.SelectSelector):
    """Does not wait: the time that the loop would wait for has passed."""

    def __init__(self):
        super().__init__()
        self.now = 0

    def select(self, timeout=None):
        assert timeout is not None, "the end of a program is a timer"
        self.now += timeout
        return []


class Task(asyncio.tasks._PyTask):
    """As since 3.13: a cancellation that was taken back before it was raised is not raised."""

    def uncancel(self):
        left = super().uncancel()
        if left == 0:
            self._must_cancel = False
        return left


class Ordered(dict):
    """A set that is gone through in the order of its additions."""

    def add(self, key):
        self[key] = None

    def discard(self, key):
        self.pop(key, None)


class TaskGroup(asyncio.TaskGroup):
    """asyncio's cancels its tasks in the order of their addresses."""

    def __init__(self):
        super().__init__()
        self._tasks = Ordered()


class Loop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.clock = Jumping()
        super().__init__(self.clock)
        self._clock_resolution = 1  # What is due at `now` is due, and nothing later: times are whole numbers.
        self.tie = False
        self.set_exception_handler(lambda loop, context: None)
        if sys.version_info < (3, 13):
            self.set_task_factory(lambda loop, code, **rest: Task(code, loop=loop, **rest))

    def time(self):
        return self.clock.now

    def call_at(self, when, callback, *args, context=None):
        self.tie |= any(other.when() == when and not other.cancelled() for other in self._scheduled)
        return super().call_at(when, callback, *args, context=context)


def name_of(error):
    if isinstance(error, BaseExceptionGroup):
        return "Group[" + " ".join(map(name_of, error.exceptions)) + "]"
    return f"ValueError({error})" if isinstance(error, ValueError) else type(error).__name__


class Machine:
    def __init__(self, loop, program):
        (futures, locks, events), queues, self.bodies = program
        self.loop = loop
        self.trace = []
        self.over = False
        self.futures = [loop.create_future() for _ in range(int(futures))]
        self.locks = [asyncio.Lock() for _ in range(int(locks))]
        self.events = [asyncio.Event() for _ in range(int(events))]
        self.queues = [asyncio.Queue(int(size)) for size in queues]
        self.tasks = [None] * len(self.bodies)
        self.groups = [[] for _ in self.bodies]

    def log(self, me, text):
        if not self.over:
            self.trace.append(f"{self.loop.time()} t{me} {text}")

    async def body(self, me):
        self.log(me, "begins")
        await self.ops(me, self.bodies[me])
        self.log(me, "ends")
        return me

    async def ops(self, me, ops):
        for op in ops:
            await self.op(me, op)

    async def op(self, me, op):
        if self.over:
            raise GeneratorExit  # The interpreter destroys what is left.
        name, *arguments = op
        try:
            result = await getattr(self, "do_" + name)(me, *arguments)
        except BaseException as error:
            self.log(me, f"{name} -> {name_of(error)}")
            raise
        self.log(me, f"{name} {result}")

    def target(self, word):
        return self.futures[int(word[1:])] if word[0] == "f" else self.tasks[int(word[1:])]

    def present(self, me, words):
        """A task waits for later ones only: a cancellation that goes round in circles is a RecursionError in Python, and
        overflows the stack in C++."""
        return [word for word in words if self.target(word) is not None and (word[0] == "f" or int(word[1:]) > me)]

    async def do_sleep(self, me, delay):
        await asyncio.sleep(int(delay))
        return "ok"

    async def do_yield(self, me):
        await asyncio.sleep(0)
        return "ok"

    async def do_raise(self, me, number):
        raise ValueError(number)

    async def do_set(self, me, future, value):
        future = self.futures[int(future)]
        if future.done():
            return "done before"
        future.set_result(int(value))
        return "ok"

    async def do_fail(self, me, future, number):
        future = self.futures[int(future)]
        if future.done():
            return "done before"
        future.set_exception(ValueError(number))
        return "ok"

    async def do_cancel_future(self, me, future):
        return int(self.futures[int(future)].cancel())

    async def do_await(self, me, word):
        return await self.target(word) if self.present(me, [word]) else "nothing"

    async def do_shield(self, me, word):
        return await asyncio.shield(self.target(word)) if self.present(me, [word]) else "nothing"

    async def do_spawn(self, me, task):
        if self.tasks[int(task)] is not None:
            return "before"
        self.tasks[int(task)] = self.loop.create_task(self.body(int(task)))
        return "ok"

    async def do_group_spawn(self, me, task):
        if self.tasks[int(task)] is not None or not self.groups[me]:
            return "before"
        body = self.body(int(task))
        try:
            self.tasks[int(task)] = self.groups[me][-1].create_task(body)
        except RuntimeError:
            body.close()
            return "refused"
        return "ok"

    async def do_cancel(self, me, task):
        task = self.tasks[int(task)]
        return "nothing" if task is None else int(task.cancel())

    async def do_cancelling(self, me):
        return asyncio.current_task().cancelling()

    async def do_gather(self, me, with_exceptions, *words):
        # 3.12 and weft see at once what is done, 3.11 an iteration later.
        present = [self.target(word) for word in self.present(me, words) if not self.target(word).done()]
        results = await asyncio.gather(*present, return_exceptions=with_exceptions == "1")
        return " ".join(name_of(r) if isinstance(r, BaseException) else str(r) for r in results)

    async def do_wait(self, me, until, limit, *words):
        present = self.present(me, words)
        if not present:
            return "nothing"
        done, _ = await asyncio.wait(
            [self.target(word) for word in present], timeout=None if limit == "-" else int(limit),
            return_when={"first": asyncio.FIRST_COMPLETED, "error": asyncio.FIRST_EXCEPTION, "all": asyncio.ALL_COMPLETED}[until])
        return " ".join(word for word in present if self.target(word) in done)

    async def do_put(self, me, queue, value):
        await self.queues[int(queue)].put(int(value))
        return "ok"

    async def do_get(self, me, queue):
        return await self.queues[int(queue)].get()

    async def do_get_nowait(self, me, queue):
        try:
            return self.queues[int(queue)].get_nowait()
        except asyncio.QueueEmpty:
            return "empty"

    async def do_event_set(self, me, event):
        self.events[int(event)].set()
        return "ok"

    async def do_event_clear(self, me, event):
        self.events[int(event)].clear()
        return "ok"

    async def do_event_wait(self, me, event):
        await self.events[int(event)].wait()
        return "ok"

    async def do_try(self, me, how, ops, handler):
        try:
            await self.ops(me, ops)
            return "nothing caught"
        except BaseException as error:
            # A timeout in the handler counts from here on since 3.12; that of 3.11 from 0.
            while isinstance(error, asyncio.CancelledError) and asyncio.current_task().cancelling():
                asyncio.current_task().uncancel()
            await self.ops(me, handler)
            if how == "raise":
                raise
            return name_of(error)

    async def do_timeout(self, me, delay, ops):
        async with asyncio.timeout(int(delay)):
            await self.ops(me, ops)
        return "in time"

    async def do_wait_for(self, me, delay, ops):
        # As asyncio.wait_for is since 3.12. That of 3.11 makes a task.
        async with asyncio.timeout(int(delay)):
            await self.ops(me, ops)
        return "in time"

    async def do_lock(self, me, lock, ops):
        async with self.locks[int(lock)]:
            self.log(me, "locked")
            await self.ops(me, ops)
        return "ok"

    async def do_group(self, me, ops):
        task = asyncio.current_task()
        before = task.cancelling()
        try:
            async with TaskGroup() as group:
                self.groups[me].append(group)
                try:
                    await self.ops(me, ops)
                finally:
                    self.groups[me].pop()
        finally:
            while task.cancelling() > before:
                task.uncancel()  # 3.11 does not take back the cancellation by a failed task.
        return "ok"

    def cancel_all(self):
        self.trace.append("the end")
        for task, body in zip(self.tasks, self.bodies):
            if task is not None and not has_group(body):
                task.cancel()

    def state(self, me):
        task = self.tasks[me]
        if task is None or not task.done():
            return "none" if task is None else "pending"
        if task.cancelled():
            return "cancelled"
        return "done" if task.exception() is None else name_of(task.exception())


def trace_of(program):
    loop = Loop()
    try:
        machine = Machine(loop, program)
        for delay in (0, 1000):
            loop.call_at(END + delay, machine.cancel_all)
        loop.call_at(END + 5000, loop.stop)
        machine.tasks[0] = loop.create_task(machine.body(0))
        loop.run_forever()
        states = [f"t{me} {machine.state(me)}" for me in range(len(machine.tasks))]
        machine.over = True
        if loop.tie:
            raise Tie
        return machine.trace + states
    finally:
        loop.close()
