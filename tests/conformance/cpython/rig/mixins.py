# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""CPython's tests of futures and tasks, which it runs on asyncio's types, on weft's."""
import sys
from asyncio import futures, tasks

import weft
from test.test_asyncio import test_futures, test_tasks, utils


class FutureTests(test_futures.BaseFutureTests, utils.TestCase):
    cls = weft.Future


class FutureDoneCallbackTests(test_futures.BaseFutureDoneCallbackTests, utils.TestCase):
    def _new_future(self):
        return weft.Future(loop=self.loop)


class FutureInheritanceTests(test_futures.BaseFutureInheritanceTests, utils.TestCase):
    def _get_future_cls(self):
        return weft.Future


class Task_Future_Tests(test_tasks.BaseTaskTests, test_tasks.SetMethodsTest, utils.TestCase):
    Task = weft.Task
    Future = weft.Future


class CTask_Future_Tests(test_tasks.BaseTaskTests, utils.TestCase):
    Task = tasks._CTask
    Future = weft.Future


class Task_CFuture_Tests(test_tasks.BaseTaskTests, utils.TestCase):
    Task = weft.Task
    Future = futures._CFuture


class CurrentLoopTests(test_tasks.BaseCurrentLoopTests, utils.TestCase):
    current_task = staticmethod(tasks.current_task)

    def new_task(self, coro):
        return weft.Task(coro, loop=self.loop)


del test_futures, test_tasks

if sys.version_info >= (3, 12):
    from test.test_asyncio import test_eager_task_factory as eager

    class EagerTaskFactoryTests(eager.EagerTaskFactoryLoopTests, utils.TestCase):
        Task = weft.Task

    del eager
