# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""weft's Runner and run(), under asyncio's names. What they do is in C++; here is how Python spells it.

A runner whose loop is not weft's, or makes tasks of somebody else's, does as asyncio's.
"""
import asyncio
import signal
import threading
from asyncio import coroutines, events, runners, tasks

import weft_core
from weft.executors import ExecutorMethods

__all__ = ["Runner", "run"]


def _refuse_in_loop(call):
    weft_core.require_may_run(call)
    if events._get_running_loop() is not None:  # Of somebody else's.
        raise RuntimeError(f"{call} cannot be called from a running event loop")


class Runner(asyncio.Runner):
    _ours = False

    def _lazy_init(self):
        created = self._state is runners._State.CREATED
        super()._lazy_init()
        if created and isinstance(self._loop, weft_core.Loop) and isinstance(self._loop, ExecutorMethods):
            weft_core.runner_begin(self._loop)
            self._ours = True

    def run(self, coro, *, context=None):
        if not coroutines.iscoroutine(coro):
            raise ValueError(f"a coroutine was expected, got {coro!r}")
        _refuse_in_loop("Runner.run()")
        self._lazy_init()
        if not self._ours or self._loop.get_task_factory() is not None:
            return super().run(coro, context=context)
        task = self._loop.create_task(coro, context=self._context if context is None else context)
        with self._loop._while_running(), _Interrupts(self._loop):
            weft_core.runner_run(self._loop, task)
        return task.result()

    def close(self):
        if not self._ours or self._state is not runners._State.INITIALIZED:
            return super().close()
        loop = self._loop
        try:
            if any(not isinstance(task, weft_core.Task) for task in tasks.all_tasks(loop)):
                runners._cancel_all_tasks(loop)
            with loop._while_running():
                weft_core.runner_close(loop)
        finally:
            if self._set_event_loop:
                events.set_event_loop(None)
            loop.close()
            self._loop = None
            self._state = runners._State.CLOSED


class _Interrupts:
    """Passes Ctrl-C on, if nobody but Python itself handles it."""

    def __init__(self, loop):
        self.loop = loop
        self.installed = False

    def __enter__(self):
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            try:
                signal.signal(signal.SIGINT, self.interrupt)
                self.installed = True
            except ValueError:  # An interpreter that is embedded need not have any signals.
                pass

    def interrupt(self, number, frame):
        weft_core.runner_interrupt(self.loop)

    def __exit__(self, *error):
        if self.installed and signal.getsignal(signal.SIGINT) == self.interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def run(main, **options):
    _refuse_in_loop("asyncio.run()")
    with Runner(**options) as runner:
        return runner.run(main)
