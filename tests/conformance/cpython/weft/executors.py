# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""weft's run_in_executor and what belongs to it, as methods of a loop. What they do is in C++; here is how Python spells it."""
import os
import threading
from asyncio import events, futures
from asyncio import threads as stock
from concurrent.futures import ThreadPoolExecutor

import weft_core


class _OwnExecutor:
    """What a loop's `_default_executor` is while that is weft's."""

    @staticmethod
    def shutdown(wait=True, *, cancel_futures=False):  # The loop's core shuts it down by itself.
        if wait:
            weft_core.join_jobs()


class ExecutorMethods:
    def run_in_executor(self, executor, func, *args):
        self._check_closed()
        if self._debug:
            self._check_callback(func, "run_in_executor")
        if executor is not None:  # Somebody else's, with threads, processes or whatever of its own.
            return futures.wrap_future(executor.submit(func, *args), loop=self)
        future = weft_core.run_in_executor(self, func, args)
        if self._default_executor is None:
            self._default_executor = _OwnExecutor
        return future

    def set_default_executor(self, executor):
        if not isinstance(executor, ThreadPoolExecutor):
            raise TypeError("executor must be ThreadPoolExecutor instance")
        weft_core.set_default_executor(self, executor)
        self._default_executor = executor

    async def shutdown_default_executor(self, timeout=None):
        self._executor_shutdown_called = True
        await weft_core.shutdown_default_executor(self, timeout)


async def to_thread(func, /, *args, **kwargs):
    if not isinstance(events.get_running_loop(), ExecutorMethods):
        return await stock_to_thread(func, *args, **kwargs)
    return await weft_core.to_thread(func, args, kwargs)


stock_to_thread = stock.to_thread
# As concurrent.futures does: the interpreter ends after the jobs, of which its end would make nothing.
threading._register_atexit(weft_core.end_jobs)
os.register_at_fork(after_in_child=weft_core.forget_jobs)
