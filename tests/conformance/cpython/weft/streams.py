# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""weft's stream readers and writers, under asyncio's names. What they do is in C++; here is how Python spells it.

Streams over a loop or transport that is not weft's are asyncio's own; so are those with an SSLContext that weft.tls leaves to asyncio."""
from asyncio import coroutines, events, protocols
from asyncio import streams as stock

import weft_core
from weft import tls

__all__ = ["StreamReader", "StreamReaderProtocol", "StreamWriter", "open_connection", "open_unix_connection", "start_server", "start_unix_server"]

_DEFAULT_LIMIT = stock._DEFAULT_LIMIT
_get_event_loop = getattr(events, "_get_event_loop", events.get_event_loop)


class StreamReader(weft_core.StreamReader):
    def __new__(cls, limit=_DEFAULT_LIMIT, loop=None, *, _reader=None):
        loop = loop or _get_event_loop()
        return super().__new__(cls) if isinstance(loop, weft_core.Loop) else stock.StreamReader(limit, loop)

    def __init__(self, limit=_DEFAULT_LIMIT, loop=None, *, _reader=None):
        if limit <= 0:
            raise ValueError("Limit cannot be <= 0")
        self._loop = loop or _get_event_loop()
        if _reader is not None:
            super().__init__(_reader)  # The same one.
        else:
            super().__init__(self._loop, limit)

    _waiter = property(lambda self: self._waited_for or None)

    def __repr__(self):
        info = ["StreamReader"]
        if self._buffer:
            info.append(f"{len(self._buffer)} bytes")
        if self._eof:
            info.append("eof")
        if self._limit != _DEFAULT_LIMIT:
            info.append(f"limit={self._limit}")
        if self._waited_for:
            info.append("waited for")
        if self.exception() is not None:
            info.append(f"exception={self.exception()!r}")
        if self._paused:
            info.append("paused")
        return f"<{' '.join(info)}>"

    async def read(self, n=-1):
        return await (self._read_all() if n < 0 else self._read(n))

    async def readline(self):
        try:
            return await self._readline()
        except stock.exceptions.LimitOverrunError as error:
            raise ValueError(error.args[0]) from None

    async def readuntil(self, separator=b"\n"):
        several = isinstance(separator, tuple)
        if several and not separator:
            raise ValueError("Separator should contain at least one element")
        if not all(separator if several else (separator,)):
            raise ValueError("Separator should be at least one-byte string")
        return await self._readuntil(separator)

    async def readexactly(self, n):
        if n < 0:
            raise ValueError("readexactly size can not be less than zero")
        return await self._readexactly(n)

    def __aiter__(self):
        return self

    async def __anext__(self):
        line = await self.readline()
        if line == b"":
            raise StopAsyncIteration
        return line


class StreamReaderProtocol(weft_core.StreamReaderProtocol, protocols.Protocol):
    def __new__(cls, stream_reader, client_connected_cb=None, loop=None):
        if not isinstance(stream_reader, weft_core.StreamReader):
            return stock.StreamReaderProtocol(stream_reader, client_connected_cb, loop)
        return super().__new__(cls)

    def __init__(self, stream_reader, client_connected_cb=None, loop=None):
        self._loop = loop or _get_event_loop()
        self._stream_reader = stream_reader
        self._client_connected_cb = client_connected_cb
        super().__init__(self._loop, stream_reader, client_connected_cb is not None)

    def _serve(self, transport, writer):
        """For C++, which waits for the task."""
        served = self._client_connected_cb(self._stream_reader, StreamWriter(transport, self, self._stream_reader, self._loop, _writer=writer))
        return self._loop.create_task(served) if coroutines.iscoroutine(served) else None


class StreamWriter(weft_core.StreamWriter):
    def __new__(cls, transport, protocol, reader, loop, *, _writer=None):
        ours = isinstance(transport, weft_core.Transport) and isinstance(protocol, weft_core.StreamReaderProtocol)
        if not ours and _writer is None:
            return stock.StreamWriter(transport, protocol, reader, loop)
        return super().__new__(cls)

    def __init__(self, transport, protocol, reader, loop, *, _writer=None):
        self._protocol = protocol
        self._reader = reader
        self._loop = loop
        self._transport = transport
        if _writer is not None:
            super().__init__(_writer)  # The same one.
        else:
            super().__init__(transport, protocol, reader)

    transport = property(lambda self: self._transport)

    def __repr__(self):
        return f"<{type(self).__name__} transport={self._transport!r} reader={self._reader!r}>"

    def get_extra_info(self, name, default=None):
        return self._transport.get_extra_info(name, default)

    async def start_tls(self, sslcontext, *, server_hostname=None, ssl_handshake_timeout=None, ssl_shutdown_timeout=None):
        layer, sslcontext = tls.layer(sslcontext, server_side=self._protocol._client_connected_cb is not None, server_hostname=server_hostname,
                                      ssl_handshake_timeout=ssl_handshake_timeout, ssl_shutdown_timeout=ssl_shutdown_timeout)
        if layer is None:
            raise ValueError("weft's TLS cannot use this SSLContext; connect with asyncio's own streams")
        self._transport = await self._start_tls(layer)


def _ours(loop, ssl, server_side):
    """Whether weft can make the streams: the loop is weft's, and so is the TLS, if there is any."""
    return isinstance(loop, weft_core.Loop) and (not ssl or isinstance(ssl, bool) or tls.why_not(ssl, server_side) is None)


async def _connect(connect, theirs, where, limit, options):
    loop = events.get_running_loop()
    if not _ours(loop, options.get("ssl"), False):
        return await theirs(*where, limit=limit, **options)
    reader = StreamReader(limit, loop)
    protocol = StreamReaderProtocol(reader, loop=loop)
    transport, _ = await getattr(loop, connect)(lambda: protocol, *where, **options)
    return reader, StreamWriter(transport, protocol, reader, loop)


async def open_connection(host=None, port=None, *, limit=_DEFAULT_LIMIT, **options):
    return await _connect("create_connection", stock_open_connection, (host, port), limit, options)


async def open_unix_connection(path=None, *, limit=_DEFAULT_LIMIT, **options):
    return await _connect("create_unix_connection", stock_open_unix_connection, (path,), limit, options)


async def _start(create, theirs, client_connected_cb, where, limit, options):
    loop = events.get_running_loop()
    if not _ours(loop, options.get("ssl"), True):
        return await theirs(client_connected_cb, *where, limit=limit, **options)
    return await getattr(loop, create)(lambda: StreamReaderProtocol(StreamReader(limit, loop), client_connected_cb, loop), *where, **options)


async def start_server(client_connected_cb, host=None, port=None, *, limit=_DEFAULT_LIMIT, **options):
    return await _start("create_server", stock_start_server, client_connected_cb, (host, port), limit, options)


async def start_unix_server(client_connected_cb, path=None, *, limit=_DEFAULT_LIMIT, **options):
    return await _start("create_unix_server", stock_start_unix_server, client_connected_cb, (path,), limit, options)


stock_open_connection, stock_open_unix_connection = stock.open_connection, stock.open_unix_connection
stock_start_server, stock_start_unix_server = stock.start_server, stock.start_unix_server
