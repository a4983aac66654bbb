# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""weft's Process, under asyncio's names. What it does is in C++; here is how Python spells it. On a loop that is not weft's it is asyncio's."""
import functools
from asyncio import events
from asyncio import subprocess as stock
from subprocess import DEVNULL, PIPE, STDOUT

import weft_core
from weft import streams, transports

__all__ = ["DEVNULL", "PIPE", "STDOUT", "Process", "create_subprocess_exec", "create_subprocess_shell"]

_DEFAULT_LIMIT = streams._DEFAULT_LIMIT


class Process(weft_core.Process):
    """What create_subprocess_exec() and create_subprocess_shell() give."""

    def __init__(self, process, loop):
        super().__init__(process)
        self._loop = loop
        self._transport = self._own_transport
        self.stdin, self.stdout, self.stderr = self._stdin, self._stdout, self._stderr
        if self.stdin is not None:
            self.stdin = streams.StreamWriter(self._transport.get_pipe_transport(0), None, None, loop, _writer=self.stdin)
        if self.stdout is not None:
            self.stdout = streams.StreamReader(loop=loop, _reader=self.stdout)
        if self.stderr is not None:
            self.stderr = streams.StreamReader(loop=loop, _reader=self.stderr)

    def __repr__(self):
        return f"<{type(self).__name__} {self.pid}>"

    async def communicate(self, input=None):
        return await self._communicate(input)


async def _create(loop, method, limit, *command, **options):
    start = functools.partial(weft_core.create_process, loop, limit)
    return Process(await method(loop, start, *command, **options), loop)


async def create_subprocess_exec(program, *args, stdin=None, stdout=None, stderr=None, limit=_DEFAULT_LIMIT, **options):
    loop = events.get_running_loop()
    options.update(stdin=stdin, stdout=stdout, stderr=stderr)
    if not isinstance(loop, transports.TransportMethods):
        return await stock_exec(program, *args, limit=limit, **options)
    return await _create(loop, transports.TransportMethods._exec, limit, program, *args, **options)


async def create_subprocess_shell(cmd, stdin=None, stdout=None, stderr=None, limit=_DEFAULT_LIMIT, **options):
    loop = events.get_running_loop()
    options.update(stdin=stdin, stdout=stdout, stderr=stderr)
    if not isinstance(loop, transports.TransportMethods):
        return await stock_shell(cmd, limit=limit, **options)
    return await _create(loop, transports.TransportMethods._shell, limit, cmd, **options)


stock_exec, stock_shell = stock.create_subprocess_exec, stock.create_subprocess_shell
