# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""weft's event loop for Python.

    asyncio.run(main(), loop_factory=weft.new_event_loop)          # 3.12
    asyncio.set_event_loop_policy(weft.EventLoopPolicy())          # 3.11

The ready queue, timers, descriptors, calls from threads, run, stop and close, futures and tasks, connections, servers, datagrams, pipes,
TLS, children, files that are sent, socket calls and executors are weft's, in C++, as every C++ program uses them. Signals are asyncio's own
code on top of those.
Locks, queues, groups, combinators and to_thread of weft's are in weft.primitives, Runner and run in weft.runners, readers and writers in
weft.streams, Process in weft.subprocess.
"""
import asyncio
import contextlib
import sys
import threading
import types
import weakref
from asyncio import base_events, base_futures, base_tasks, coroutines, events, format_helpers, tasks

import weft_core
from weft import executors, tls, transports

__all__ = ["CoreLoop", "EventLoopPolicy", "Future", "Loop", "Task", "counts", "new_event_loop"]


def counts():
    """How much weft has been at work; and how often asyncio's TLS instead, for want of weft's."""
    return weft_core.counts() | {"asyncio_tls": tls.left_to_asyncio}


def _callback_text(handle):
    return format_helpers._format_callback_source(handle._callback, handle._args)


def _handle_repr(handle):
    info = [type(handle).__name__]
    if handle.cancelled():
        info.append("cancelled")
    if isinstance(handle, weft_core.TimerHandle):
        info.append(f"when={handle.when()}")
    if handle._callback is not None:
        info.append(_callback_text(handle))
    if handle._source_traceback:
        frame = handle._source_traceback[-1]
        info.append(f"created at {frame[0]}:{frame[1]}")
    return f"<{' '.join(info)}>"


def _source_traceback():
    return format_helpers.extract_stack(sys._getframe(1))


def _report_slow(called, seconds):
    if isinstance(called, weft_core.Handle):
        text = base_events._format_handle(called)
    elif isinstance(called, weft_core.Task):
        text = repr(called)
    elif isinstance(called, str):  # The place of one of C++'s own.
        text = called
    else:
        text = format_helpers._format_callback_source(called, ())
    base_events.logger.warning("Executing %s took %.3f seconds", text, seconds)


weft_core.set_helpers(handle_repr=_handle_repr, callback_text=_callback_text, source_traceback=_source_traceback,
                      report_slow=_report_slow, get_event_loop=getattr(events, "_get_event_loop", events.get_event_loop),
                      is_coroutine=coroutines.iscoroutine, register_task=tasks._register_task, enter_task=tasks._enter_task,
                      leave_task=tasks._leave_task, swap_task=getattr(tasks, "_swap_current_task", None), wrap_socket=transports._wrap_socket)

Future = weft_core.Future
Task = weft_core.Task
# What these have in Python in asyncio, too.
Future.__repr__ = base_futures._future_repr
Future.__class_getitem__ = classmethod(types.GenericAlias)
Task.__repr__ = base_tasks._task_repr
Task.get_stack = lambda self, *, limit=None: base_tasks._task_get_stack(self, limit)
Task.print_stack = lambda self, *, limit=None, file=None: base_tasks._task_print_stack(self, limit, file)


class CoreLoop(weft_core.Loop, asyncio.SelectorEventLoop):
    """What weft_core.Loop defines comes first; the rest is asyncio's selector loop without its selector."""

    def __init__(self, selector=None, *, standing_clock=False, callbacks_on_task=False):
        weft_core.Loop.__init__(self, standing_clock=standing_clock, callbacks_on_task=callbacks_on_task)
        base_events.BaseEventLoop.__init__(self)
        self._internal_fds = 1  # That by which other threads wake the loop.
        self._selector = selector  # Not used; closed with the loop.
        self._transports = weakref.WeakValueDictionary()
        self._signal_handlers = {}
        self._unix_server_sockets = {}
        self._ssock = self._csock = None

    def create_future(self):
        return Future(loop=self)

    def create_task(self, coro, **options):
        if self._task_factory is not None:
            return super().create_task(coro, **options)
        self._check_closed()
        task = Task(coro, loop=self, **options)
        if task._source_traceback:
            del task._source_traceback[-1]
        return task

    def run_forever(self):
        with self._while_running():
            self._core_run_forever()

    @contextlib.contextmanager
    def _while_running(self):
        """What Python is to know while the core runs."""
        self._check_closed()
        self._check_running()
        self._set_coroutine_origin_tracking(self._debug)
        hooks = sys.get_asyncgen_hooks()
        try:
            self._thread_id = threading.get_ident()
            sys.set_asyncgen_hooks(firstiter=self._asyncgen_firstiter_hook, finalizer=self._asyncgen_finalizer_hook)
            events._set_running_loop(self)
            yield
        finally:
            self._thread_id = None
            events._set_running_loop(None)
            self._set_coroutine_origin_tracking(False)
            sys.set_asyncgen_hooks(*hooks)

    def close(self):
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self.is_closed():
            return
        super().close()

    def _close_self_pipe(self):
        # The last that asyncio's close() does before it is BaseEventLoop's turn.
        if self._ssock is not None:
            super()._close_self_pipe()
        self._internal_fds -= 1
        base_events.BaseEventLoop.close(self)
        self._core_close()

    def set_debug(self, enabled):
        self._core_set_debug(enabled)
        super().set_debug(enabled)

    # Signals: Python writes their numbers into a socket, which the loop reads.

    def add_signal_handler(self, sig, callback, *args):
        self._check_closed()
        if self._csock is None:
            self._make_self_pipe()
        super().add_signal_handler(sig, callback, *args)

    def _add_callback_signalsafe(self, handle):
        if not handle._cancelled:
            self.call_soon_threadsafe(handle._run)

    def _write_to_self(self):
        self.call_soon_threadsafe(lambda: None)


class Loop(transports.TransportMethods, executors.ExecutorMethods, CoreLoop):
    """The same with weft's connections, servers, TLS, datagrams, pipes, children, socket calls and executors."""


def new_event_loop():
    return Loop()


def current_task(loop=None):
    """The task of weft's that is running; asyncio.current_task() also knows others."""
    task = weft_core.stepped_task()
    return task if task is None or loop is None or task.get_loop() is loop else None


def all_tasks(loop=None):
    """The tasks of weft's of a loop that are not done; asyncio.all_tasks() also knows others."""
    return set(weft_core.tasks_of(loop or events.get_running_loop()))


class EventLoopPolicy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = Loop
