# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""weft's locks, queues, groups and combinators, under asyncio's names. What they do is in C++; here is how Python spells it."""
import asyncio
import functools
import math
import sys
from asyncio import coroutines, events, futures, locks
from asyncio import tasks as stock

import weft_core
from weft.executors import to_thread

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "LifoQueue", "Lock", "PriorityQueue", "Queue", "Semaphore", "TaskGroup",
           "Timeout", "as_completed", "gather", "shield", "timeout", "timeout_at", "to_thread", "wait", "wait_for"]


def _with(text, extra):
    return f"<{text[1:-1]} [{extra}]>"


class _Locked(locks._ContextManagerMixin):
    def __repr__(self):
        extra = "locked" if self.locked() else "unlocked"
        return _with(super().__repr__(), extra + (f", waiters:{len(self._waiters)}" if self._waiters else ""))


class Lock(_Locked, weft_core.Lock):
    def __init__(self):
        super().__init__()


class Event(weft_core.Event):
    def __init__(self):
        super().__init__()

    def __repr__(self):
        extra = "set" if self.is_set() else "unset"
        return _with(super().__repr__(), extra + (f", waiters:{len(self._waiters)}" if self._waiters else ""))


class Condition(_Locked, weft_core.Condition):
    def __init__(self, lock=None):
        super().__init__(Lock() if lock is None else lock)


class Semaphore(locks._ContextManagerMixin, weft_core.Semaphore):
    def __init__(self, value=1):
        super().__init__(value)

    def __repr__(self):
        extra = "locked" if self.locked() else f"unlocked, value:{self._value}"
        return _with(super().__repr__(), extra + (f", waiters:{len(self._waiters)}" if self._waiters else ""))


class BoundedSemaphore(locks._ContextManagerMixin, weft_core.BoundedSemaphore):
    def __init__(self, value=1):
        super().__init__(value)

    __repr__ = Semaphore.__repr__


class Barrier(weft_core.Barrier):
    def __init__(self, parties):
        super().__init__(parties)

    def __repr__(self):
        return _with(super().__repr__(), self._state + ("" if self.broken else f", waiters:{self.n_waiting}/{self.parties}"))

    async def __aenter__(self):
        return await self.wait()

    async def __aexit__(self, *error):
        pass


class _Queue:
    __class_getitem__ = classmethod(asyncio.Queue.__class_getitem__.__func__)

    _getters = property(lambda self: range(self._getters_count))  # As many as there are.
    _putters = property(lambda self: range(self._putters_count))

    def __init__(self, maxsize=0):
        super().__init__(math.ceil(maxsize))

    def __repr__(self):
        return f"<{type(self).__name__} at {id(self):#x} {self._format()}>"

    def __str__(self):
        return f"<{type(self).__name__} {self._format()}>"

    def _format(self):
        result = f"maxsize={self.maxsize!r}"
        for name, count in (("_getters", self._getters_count), ("_putters", self._putters_count), ("tasks", self._unfinished_tasks)):
            result += f" {name}[{count}]" if count and name != "tasks" else f" tasks={count}" if count else ""
        return result + (" shutdown" if self._is_shutdown else "")


class Queue(_Queue, weft_core.Queue):
    pass


class PriorityQueue(_Queue, weft_core.PriorityQueue):
    pass


class LifoQueue(_Queue, weft_core.LifoQueue):
    pass


class Timeout(weft_core.Timeout):
    def __init__(self, when):
        super().__init__(when)

    def __repr__(self):
        when = self.when()
        end = f" when={None if when is None else round(when, 3)}" if self._state_name == "active" else ""
        return f"<Timeout [{self._state_name}]{end}>"

    async def __aenter__(self):
        self._enter()
        return self

    async def __aexit__(self, kind, error, traceback):
        if self._leave(error):
            raise TimeoutError from error


def _in_foreign_task():
    return weft_core.stepped_task() is None and events._get_running_loop() is not None and stock.current_task() is not None


def timeout(delay):
    return timeout_at(events.get_running_loop().time() + delay if delay is not None else None)


def timeout_at(when):
    return (StockTimeout if _in_foreign_task() else Timeout)(when)


class TaskGroup(weft_core.TaskGroup):
    _tasks = property(lambda self: range(self._tasks_count))  # As many as there are.

    def __new__(cls):
        return StockTaskGroup() if _in_foreign_task() else super().__new__(cls)

    def __init__(self):
        super().__init__()

    def __repr__(self):
        info = [""] + [f"{name}={n}" for name, n in (("tasks", self._tasks_count), ("errors", self._errors_count)) if n]
        info += ["cancelling"] if self._aborting else ["entered"] if self._entered else []
        return f"<TaskGroup{' '.join(info)}>"

    async def __aenter__(self):
        self._enter()
        return self

    async def __aexit__(self, kind, error, traceback):
        return await self._leave(error)

    def create_task(self, coro, **options):
        try:
            loop = self._prepare()
        except RuntimeError:
            if sys.version_info >= (3, 13):
                coro.close()
            raise
        return self._make(functools.partial(loop.create_task, coro, **options))


def _ours(*fs):
    return all(isinstance(f, weft_core.Future) for f in fs)


def gather(*coros_or_futures, return_exceptions=False):
    if not coros_or_futures:
        loop = getattr(events, "_get_event_loop", events.get_event_loop)()
        return weft_core.gather(loop, [], return_exceptions) if isinstance(loop, weft_core.Loop) else stock_gather()
    loop, known, children = None, {}, []
    for each in coros_or_futures:
        if each not in known:
            known[each] = stock.ensure_future(each, loop=loop)
            loop = loop or futures._get_loop(known[each])
            if known[each] is not each:
                known[each]._log_destroy_pending = False
        children.append(known[each])
    if not _ours(*children):
        return stock_gather(*children, return_exceptions=return_exceptions)
    return weft_core.gather(loop, children, return_exceptions)


def shield(arg):
    inner = stock.ensure_future(arg)
    if inner.done():
        return inner
    return weft_core.shield(inner) if _ours(inner) else stock_shield(inner)


async def wait(fs, *, timeout=None, return_when=stock.ALL_COMPLETED):
    if futures.isfuture(fs) or coroutines.iscoroutine(fs):
        raise TypeError(f"expect a list of futures, not {type(fs).__name__}")
    fs = list(fs)
    if not fs or not _ours(*fs) or return_when not in (stock.FIRST_COMPLETED, stock.FIRST_EXCEPTION, stock.ALL_COMPLETED):
        return await stock_wait(fs, timeout=timeout, return_when=return_when)
    done, pending = await weft_core.wait(fs, timeout, return_when)
    return set(done), set(pending)


def as_completed(fs, *, timeout=None):
    return _Completed(fs, timeout) if sys.version_info >= (3, 13) else _completed(fs, timeout)


# The futures of `fs`, as tasks where they are none yet.
def _as_futures(fs):
    if futures.isfuture(fs) or coroutines.iscoroutine(fs):
        raise TypeError(f"expect an iterable of futures, not {type(fs).__name__}")
    loop = getattr(events, "_get_event_loop", events.get_event_loop)()
    return list({stock.ensure_future(f, loop=loop) for f in set(fs)})


async def _next_result(row):
    return (await row.next()).result()


def _completed(fs, timeout):
    children = _as_futures(fs)
    if not _ours(*children):
        yield from stock_as_completed(children, timeout=timeout)
        return
    row = weft_core.AsCompleted(children, timeout)
    for _ in children:
        yield _next_result(row)


class _Completed:
    """From 3.13 on it may also be iterated by `async for`, which gives the futures themselves."""

    def __new__(cls, fs, timeout):
        children = _as_futures(fs)
        if not _ours(*children):
            return stock_as_completed(children, timeout=timeout)
        row = super().__new__(cls)
        row._row = weft_core.AsCompleted(children, timeout)
        row._left = len(children)
        return row

    def __iter__(self):
        return self

    __aiter__ = __iter__

    def _take(self, end):
        if not self._left:
            raise end
        self._left -= 1

    def __next__(self):
        self._take(StopIteration)
        return _next_result(self._row)

    async def __anext__(self):
        self._take(StopAsyncIteration)
        return await self._row.next()


async def wait_for(fut, timeout):
    if weft_core.stepped_task() is None or not coroutines.iscoroutine(fut):
        fut = stock.ensure_future(fut)
    if futures.isfuture(fut) and not _ours(fut):
        return await stock_wait_for(fut, timeout)
    return await weft_core.wait_for(fut, timeout)


StockTimeout, StockTaskGroup = asyncio.Timeout, asyncio.TaskGroup
stock_as_completed, stock_gather, stock_shield, stock_wait, stock_wait_for = stock.as_completed, stock.gather, stock.shield, stock.wait, stock.wait_for
