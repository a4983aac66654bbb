# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Puts weft's objects where CPython's tests find asyncio's.

Tier T1, the loop: the default policy and new_event_loop(), the names SelectorEventLoop (and EventLoop, from 3.13), which many tests
build directly, and the tests' own TestLoop, whose time stands still unless the test moves it on. Futures and tasks are asyncio's.
Tier T2: what the loop's create_future() and create_task() make is weft's, too.
Tier T3: T2, and the loop's connections, servers, TLS, datagrams, pipes, children, sent files, socket calls and executors; streams and processes.
Tier T4: T2, and locks, queues, timeouts, groups, combinators, run_in_executor and to_thread.
Tier T5: T4, and Runner and run(); also the name asyncio.BaseEventLoop, which the tests of runners build their loops of.
"""
import asyncio
import selectors
from asyncio import base_events, unix_events

import weft
import weft_core

callbacks_on_task = False  # Else on the caller's stack.
complaints = []  # What exception handlers were told that nobody had asked to hear.


class Ready:
    """What tests ask loop._ready: whether anything is in it."""

    def __init__(self, loop):
        self.loop = loop

    def __len__(self):
        return self.loop._core_ready()

    def clear(self):  # By BaseEventLoop.close(); the core sees to it.
        pass


class Selector:
    """What tests ask loop._selector: who watches a descriptor."""

    def __init__(self, loop):
        self.loop = loop

    def get_key(self, file):
        fd = file if isinstance(file, int) else file.fileno()
        reader, writer = self.loop._core_watching(fd)
        if reader is None and writer is None:
            raise KeyError(fd)
        events = (reader and selectors.EVENT_READ or 0) | (writer and selectors.EVENT_WRITE or 0)
        return selectors.SelectorKey(file, fd, events, (reader, writer))

    def close(self):
        pass


class Overseen:
    """What the tests see of a loop, in front of it."""

    _ready = property(lambda self: Ready(self), lambda self, value: None)

    def __init__(self, selector=None):
        if selector is not None:
            selector.close()
        super().__init__(callbacks_on_task=callbacks_on_task)
        self._selector = Selector(self)

    def default_exception_handler(self, context):
        complaints.append(context.get("message") or "Unhandled exception in event loop")
        super().default_exception_handler(context)


class Loop(Overseen, weft.CoreLoop):
    pass


class Policy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = Loop


def make_test_loop(stock):
    """TestLoop on weft's core. Mocked descriptors and the generator of times are the stock's; the clock and what runs are weft's."""

    class TestLoop(Loop, stock):
        def __init__(self, gen=None):
            self._begun = False
            weft.CoreLoop.__init__(self, standing_clock=True, callbacks_on_task=callbacks_on_task)
            stock.__init__(self, gen)
            self._core_add_prepare(self._between_iterations)

        _add_reader = stock._add_reader
        _remove_reader = stock._remove_reader
        _add_writer = stock._add_writer
        _remove_writer = stock._remove_writer
        add_reader = stock.add_reader
        remove_reader = stock.remove_reader
        add_writer = stock.add_writer
        remove_writer = stock.remove_writer
        _ensure_fd_no_transport = stock._ensure_fd_no_transport

        def close(self):
            stock.close(self)
            self._core_close()

        def advance_time(self, advance):
            if advance:
                self._core_advance(advance)

        def call_at(self, when, callback, *args, context=None):
            self._timers.append(when)
            return weft.CoreLoop.call_at(self, when, callback, *args, context=context)

        def call_later(self, delay, callback, *args, context=None):
            if delay is None:
                raise TypeError("delay must not be None")
            return self.call_at(self.time() + delay, callback, *args, context=context)

        def run_forever(self):
            self._begun = False
            super().run_forever()
            self._ask_for_times()

        def _run_once(self):
            self._core_run_once()
            self._ask_for_times()

        def _between_iterations(self):
            if self._begun:
                self._ask_for_times()
            self._begun = True

        # What the test's generator of times says to each new timer.
        def _ask_for_times(self):
            timers, self._timers = self._timers, []
            for when in timers:
                self.advance_time(self._gen.send(when))

    return TestLoop


# Where asyncio's own code finds these.
HOMES = {"locks": ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "Semaphore"],
         "queues": ["LifoQueue", "PriorityQueue", "Queue"],
         "timeouts": ["Timeout", "timeout", "timeout_at"],
         "taskgroups": ["TaskGroup"],
         "tasks": ["as_completed", "gather", "shield", "wait", "wait_for"],
         "threads": ["to_thread"]}


def tell_of_timer(name):
    """The tests' loop moves its time on for every timer that it hears of. One of C++'s would go unheard."""
    inner = getattr(weft_core, name)

    def tell(fs, timeout, *options):
        loop = fs[0].get_loop() if fs and timeout is not None else None
        if hasattr(loop, "_timers"):
            loop._timers.append(loop.time() + timeout)
        return inner(fs, timeout, *options)

    setattr(weft_core, name, tell)


def install_primitives():
    from weft import primitives
    tell_of_timer("wait")
    tell_of_timer("AsCompleted")
    for home, names in HOMES.items():
        for name in names:
            setattr(asyncio, name, getattr(primitives, name))
            setattr(getattr(asyncio, home), name, getattr(primitives, name))


def install_runners():
    from weft import runners
    for name in ("Runner", "run"):
        setattr(asyncio, name, getattr(runners, name))
        setattr(asyncio.runners, name, getattr(runners, name))


def install_streams():
    from weft import streams, subprocess
    for name in streams.__all__:
        setattr(asyncio, name, getattr(streams, name))
    for name in ("create_subprocess_exec", "create_subprocess_shell"):
        setattr(asyncio, name, getattr(subprocess, name))
        setattr(asyncio.subprocess, name, getattr(subprocess, name))


def install(tier, stack):
    global callbacks_on_task, Loop
    callbacks_on_task = stack == "task"
    if tier != "T1" and tier != "T2":
        whole = (weft.Loop,) if tier == "T3" else (weft.executors.ExecutorMethods, weft.CoreLoop)
        Loop = type("Loop", (Overseen, *whole), {})
        Policy._loop_factory = Loop
    if tier == "T1":
        Loop.create_future = base_events.BaseEventLoop.create_future
        Loop.create_task = base_events.BaseEventLoop.create_task
    asyncio.DefaultEventLoopPolicy = Policy
    unix_events.DefaultEventLoopPolicy = Policy
    asyncio.SelectorEventLoop = Loop
    unix_events.SelectorEventLoop = Loop
    if hasattr(asyncio, "EventLoop"):
        asyncio.EventLoop = Loop
        unix_events.EventLoop = Loop
    if tier == "T3":
        install_streams()
    if tier in ("T4", "T5"):
        install_primitives()
    if tier == "T5":
        asyncio.BaseEventLoop = Loop
        install_runners()
    asyncio.set_event_loop_policy(None)
    from test.test_asyncio import utils
    utils.TestLoop = make_test_loop(utils.TestLoop)
