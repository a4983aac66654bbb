# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""weft's connections, servers, datagrams, pipes, children and socket calls, under asyncio's names and signatures.

What they do is in C++; here Python's arguments are checked and told. weft.tls says which connections with `ssl` are asyncio's own."""
import functools
import io
import os
import socket
import stat
import subprocess
import sys
from asyncio import base_events, constants, events, trsock

import weft_core
from weft import tls

__all__ = ["Server", "TransportMethods"]

weft_core.Transport._sendfile_compatible = property(lambda self: constants._SendfileMode[self._sendfile_mode])


def _wrap_socket(fd):
    file = socket.socket(fileno=os.dup(fd))
    return file, trsock.TransportSocket(file)


def _check_stream(sock, what):
    if sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A Stream Socket was expected, got {sock!r}" if what is None else f"A {what} Stream Socket was expected, got {sock!r}")
    sock.setblocking(False)


def _port(port):
    if port is None or port == "":
        return 0
    if isinstance(port, bytes):
        port = port.decode()
    if isinstance(port, str):
        return int(port) if port.isdigit() else socket.getservbyname(port)
    return port


def _host(host):
    return host.decode("idna") if isinstance(host, bytes) else host or ""


def _path(path):
    path = os.fspath(path)
    return path if isinstance(path, bytes) else os.fsencode(path)


def _only_with_ssl(**given):
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} is only meaningful with ssl")


class Server(events.AbstractServer):
    def __init__(self, loop, core, sockets=None):
        self._loop = loop
        self._core = core
        self._files = [_wrap_socket(fd)[0] for fd in core.descriptors()] if sockets is None else sockets

    def __repr__(self):
        return f"<{self.__class__.__name__} sockets={self.sockets!r}>"

    # What asyncio's has: None, once it is closed.
    _sockets = property(lambda self: self._files)
    _waiters = property(lambda self: None if self._files is None else [])

    @property
    def sockets(self):
        return () if self._files is None else tuple(trsock.TransportSocket(s) for s in self._files)

    def get_loop(self):
        return self._loop

    def is_serving(self):
        return self._core.is_serving()

    def close(self):
        self._core.close()
        self._close_files()

    def _close_files(self):
        files, self._files = self._files, None
        for file in files or ():
            file.close()

    def close_clients(self):
        self._core.close_clients()

    def abort_clients(self):
        self._core.abort_clients()

    def _check_open(self):
        if self._files is None:
            raise RuntimeError(f"server {self!r} is closed")

    async def start_serving(self):
        self._check_open()
        await self._core.start_serving()

    async def serve_forever(self):
        self._check_open()
        try:
            await self._core.serve_forever()
        finally:
            self._close_files()

    async def wait_closed(self):
        await self._core.wait_closed()


def _open_streams(streams):
    """What weft is told of a child's streams: files are their numbers."""
    return [s if s is None or isinstance(s, int) else s.fileno() for s in streams]


def _file_number(file):
    """What the system can send from; -1 if there is nothing."""
    try:
        return file.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return -1


def _server_layer(context, handshake, shutdown):
    """weft's TLS for a server, and the context; a context without weft's is for asyncio's TLS."""
    if isinstance(context, bool):
        raise TypeError("ssl argument must be an SSLContext or None")
    if context is None:
        return None, None
    return tls.layer(context, server_side=True, server_hostname=None, ssl_handshake_timeout=handshake, ssl_shutdown_timeout=shutdown)


class TransportMethods:
    """In front of a loop of asyncio's."""

    # Connections.

    async def create_connection(self, protocol_factory, host=None, port=None, *, ssl=None, family=0, proto=0, flags=0, sock=None,
                                local_addr=None, server_hostname=None, ssl_handshake_timeout=None, ssl_shutdown_timeout=None,
                                happy_eyeballs_delay=None, interleave=None, all_errors=False):
        layer = None
        if ssl:
            if server_hostname is None:
                if not host:
                    raise ValueError("You must set server_hostname when using ssl without a host")
                server_hostname = host
            layer, ssl = tls.layer(ssl, server_side=False, server_hostname=server_hostname, ssl_handshake_timeout=ssl_handshake_timeout,
                                   ssl_shutdown_timeout=ssl_shutdown_timeout)
            if layer is None:
                options = {"all_errors": all_errors} if all_errors else {}
                return await super().create_connection(
                    protocol_factory, host, port, ssl=ssl, family=family, proto=proto, flags=flags, sock=sock, local_addr=local_addr,
                    server_hostname=server_hostname, ssl_handshake_timeout=ssl_handshake_timeout,
                    ssl_shutdown_timeout=ssl_shutdown_timeout, happy_eyeballs_delay=happy_eyeballs_delay, interleave=interleave, **options)
        else:
            _only_with_ssl(server_hostname=server_hostname, ssl_handshake_timeout=ssl_handshake_timeout,
                           ssl_shutdown_timeout=ssl_shutdown_timeout)
        if sock is not None:
            base_events._check_ssl_socket(sock)
            if host is not None or port is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            return await self._connected(protocol_factory, sock, layer)
        if host is None and port is None:
            raise ValueError("host and port was not specified and no sock specified")
        local_host, local_port = local_addr or (None, 0)
        return await weft_core.connect_host(self, protocol_factory, _host(host), _port(port), family, proto, flags, local_host,
                                            local_port or 0, happy_eyeballs_delay, interleave, all_errors, layer)

    async def _connected(self, protocol_factory, sock, layer, accepted=False):
        _check_stream(sock, None)
        return await weft_core.connect_fd(self, protocol_factory, os.dup(sock.fileno()), sock, trsock.TransportSocket(sock), accepted, layer)

    async def connect_accepted_socket(self, protocol_factory, sock, *, ssl=None, ssl_handshake_timeout=None, ssl_shutdown_timeout=None):
        layer = None
        if ssl:
            layer, ssl = tls.layer(ssl, server_side=True, server_hostname=None, ssl_handshake_timeout=ssl_handshake_timeout,
                                   ssl_shutdown_timeout=ssl_shutdown_timeout)
            if layer is None:
                return await super().connect_accepted_socket(protocol_factory, sock, ssl=ssl, ssl_handshake_timeout=ssl_handshake_timeout,
                                                             ssl_shutdown_timeout=ssl_shutdown_timeout)
        else:
            _only_with_ssl(ssl_handshake_timeout=ssl_handshake_timeout, ssl_shutdown_timeout=ssl_shutdown_timeout)
        base_events._check_ssl_socket(sock)
        return await self._connected(protocol_factory, sock, layer, True)

    async def create_unix_connection(self, protocol_factory, path=None, *, ssl=None, sock=None, server_hostname=None,
                                     ssl_handshake_timeout=None, ssl_shutdown_timeout=None):
        layer = None
        if ssl:
            if server_hostname is None:
                raise ValueError("you have to pass server_hostname when using ssl")
            layer, ssl = tls.layer(ssl, server_side=False, server_hostname=server_hostname, ssl_handshake_timeout=ssl_handshake_timeout,
                                   ssl_shutdown_timeout=ssl_shutdown_timeout)
            if layer is None:
                return await super().create_unix_connection(protocol_factory, path, ssl=ssl, sock=sock, server_hostname=server_hostname,
                                                            ssl_handshake_timeout=ssl_handshake_timeout,
                                                            ssl_shutdown_timeout=ssl_shutdown_timeout)
        else:
            _only_with_ssl(server_hostname=server_hostname, ssl_handshake_timeout=ssl_handshake_timeout,
                           ssl_shutdown_timeout=ssl_shutdown_timeout)
        if path is not None and sock is not None:
            raise ValueError("path and sock can not be specified at the same time")
        if path is None and sock is None:
            raise ValueError("no path and sock were specified")
        if sock is None:
            return await weft_core.connect_path(self, protocol_factory, _path(path), layer)
        if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
            raise ValueError(f"A UNIX Domain Stream Socket was expected, got {sock!r}")
        return await self._connected(protocol_factory, sock, layer)

    async def start_tls(self, transport, protocol, sslcontext, *, server_side=False, server_hostname=None, ssl_handshake_timeout=None,
                        ssl_shutdown_timeout=None):
        layer = None
        if isinstance(transport, weft_core.Transport) and transport._start_tls_compatible and not isinstance(sslcontext, bool):
            layer, sslcontext = tls.layer(sslcontext, server_side=server_side, server_hostname=server_hostname,
                                          ssl_handshake_timeout=ssl_handshake_timeout, ssl_shutdown_timeout=ssl_shutdown_timeout)
        if layer is not None:
            return await weft_core.start_tls(self, transport, protocol, layer)
        return await super().start_tls(transport, protocol, sslcontext, server_side=server_side, server_hostname=server_hostname,
                                       ssl_handshake_timeout=ssl_handshake_timeout, ssl_shutdown_timeout=ssl_shutdown_timeout)

    # Servers.

    async def create_server(self, protocol_factory, host=None, port=None, *, family=socket.AF_UNSPEC, flags=socket.AI_PASSIVE, sock=None,
                            backlog=100, ssl=None, reuse_address=None, reuse_port=None, ssl_handshake_timeout=None,
                            ssl_shutdown_timeout=None, start_serving=True, **later):
        layer, ssl = _server_layer(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        if ssl is not None and layer is None or later:
            return await super().create_server(
                protocol_factory, host, port, family=family, flags=flags, sock=sock, backlog=backlog, ssl=ssl, reuse_address=reuse_address,
                reuse_port=reuse_port, ssl_handshake_timeout=ssl_handshake_timeout, ssl_shutdown_timeout=ssl_shutdown_timeout,
                start_serving=start_serving, **later)
        if ssl is None:
            _only_with_ssl(ssl_handshake_timeout=ssl_handshake_timeout, ssl_shutdown_timeout=ssl_shutdown_timeout)
        if sock is not None:
            if host is not None or port is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            return await self._serve_socket(protocol_factory, sock, backlog, start_serving, layer)
        if host is None and port is None:
            raise ValueError("Neither host/port nor sock were specified")
        if host == "" or host is None:
            hosts = []
        else:
            hosts = [host] if isinstance(host, (str, bytes)) else list(host)
        core = await weft_core.serve_hosts(self, protocol_factory, [_host(h) for h in hosts], _port(port), family, flags, backlog,
                                           True if reuse_address is None else bool(reuse_address), bool(reuse_port), start_serving, layer)
        return Server(self, core)

    async def _serve_socket(self, protocol_factory, sock, backlog, start_serving, layer):
        _check_stream(sock, None)
        core = await weft_core.serve_fd(self, protocol_factory, os.dup(sock.fileno()), backlog, start_serving, layer)
        return Server(self, core, [sock])

    async def create_unix_server(self, protocol_factory, path=None, *, sock=None, backlog=100, ssl=None, ssl_handshake_timeout=None,
                                 ssl_shutdown_timeout=None, start_serving=True, cleanup_socket=sys.version_info >= (3, 13)):
        layer, ssl = _server_layer(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        if ssl is not None and layer is None:
            return await super().create_unix_server(protocol_factory, path, sock=sock, backlog=backlog, ssl=ssl,
                                                    ssl_handshake_timeout=ssl_handshake_timeout,
                                                    ssl_shutdown_timeout=ssl_shutdown_timeout, start_serving=start_serving)
        if ssl is None:
            _only_with_ssl(ssl_handshake_timeout=ssl_handshake_timeout, ssl_shutdown_timeout=ssl_shutdown_timeout)
        if path is not None and sock is not None:
            raise ValueError("path and sock can not be specified at the same time")
        if path is None and sock is None:
            raise ValueError("path was not specified, and no sock specified")
        if sock is None:
            return Server(self, await weft_core.serve_path(self, protocol_factory, _path(path), backlog, cleanup_socket, start_serving, layer))
        if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
            raise ValueError(f"A UNIX Domain Stream Socket was expected, got {sock!r}")
        return await self._serve_socket(protocol_factory, sock, backlog, start_serving, layer)

    # Datagrams.

    async def create_datagram_endpoint(self, protocol_factory, local_addr=None, remote_addr=None, *, family=0, proto=0, flags=0,
                                       reuse_port=None, allow_broadcast=None, sock=None):
        if sock is not None:
            if sock.type != socket.SOCK_DGRAM:
                raise ValueError(f"A datagram socket was expected, got {sock!r}")
            given = {"local_addr": local_addr, "remote_addr": remote_addr, "family": family, "proto": proto, "flags": flags,
                     "reuse_port": reuse_port, "allow_broadcast": allow_broadcast}
            problems = ", ".join(f"{name}={value}" for name, value in given.items() if value)
            if problems:
                raise ValueError(f"socket modifier keyword arguments can not be used when sock is specified. ({problems})")
            sock.setblocking(False)
            return await weft_core.datagram_fd(self, protocol_factory, os.dup(sock.fileno()), sock, trsock.TransportSocket(sock))
        if not local_addr and not remote_addr and family == 0:
            raise ValueError("unexpected address family")
        addresses = []
        for address in (local_addr, remote_addr):
            if address and family == socket.AF_UNIX:
                if not isinstance(address, str):
                    raise TypeError("string is expected")
                address = os.fsencode(address)
            elif address is not None:
                if not (isinstance(address, tuple) and len(address) == 2):
                    raise TypeError("2-tuple is expected")
                address = (_host(address[0]), _port(address[1]))
            addresses.append(address or None)
        return await weft_core.datagram_endpoint(self, protocol_factory, *addresses, family, proto, flags, bool(reuse_port),
                                                 bool(allow_broadcast))

    # Pipes.

    async def connect_read_pipe(self, protocol_factory, pipe):
        return await self._pipe(protocol_factory, pipe, True)

    async def connect_write_pipe(self, protocol_factory, pipe):
        return await self._pipe(protocol_factory, pipe, False)

    async def _pipe(self, protocol_factory, pipe, reads):
        mode = os.fstat(pipe.fileno()).st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)):
            raise ValueError("Pipe transport is for pipes/sockets only." if reads else
                             "Pipe transport is only for pipes, sockets and character devices")
        return await weft_core.connect_pipe(self, protocol_factory, os.dup(pipe.fileno()), pipe, reads)

    # Children.

    async def subprocess_exec(self, protocol_factory, program, *args, **options):
        return await self._exec(functools.partial(weft_core.spawn, self, protocol_factory), program, *args, **options)

    async def subprocess_shell(self, protocol_factory, cmd, **options):
        return await self._shell(functools.partial(weft_core.spawn, self, protocol_factory), cmd, **options)

    # `start` is given what C++'s ChildRequest is made of.

    async def _exec(self, start, program, *args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    universal_newlines=False, shell=False, bufsize=0, encoding=None, errors=None, text=None, **options):
        self._check_popen(universal_newlines, bufsize, encoding, errors, text)
        if shell:
            raise ValueError("shell must be False")
        return await self._start(start, [program, *args], (stdin, stdout, stderr), **options)

    async def _shell(self, start, cmd, *, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                     universal_newlines=False, shell=True, bufsize=0, encoding=None, errors=None, text=None, **options):
        if not isinstance(cmd, (bytes, str)):
            raise ValueError("cmd must be a string")
        self._check_popen(universal_newlines, bufsize, encoding, errors, text)
        if not shell:
            raise ValueError("shell must be True")
        return await self._start(start, cmd, (stdin, stdout, stderr), **options)

    @staticmethod
    def _check_popen(universal_newlines, bufsize, encoding, errors, text):
        for wrong, what in ((universal_newlines, "universal_newlines must be False"), (bufsize != 0, "bufsize must be 0"),
                            (text, "text must be False"), (encoding is not None, "encoding must be None"),
                            (errors is not None, "errors must be None")):
            if wrong:
                raise ValueError(what)

    # A child of weft's inherits what pass_fds names, and nothing else, also with close_fds=False.
    @staticmethod
    async def _start(start, command, streams, *, cwd=None, env=None, executable=None, pass_fds=(), process_group=None,
                     start_new_session=False, restore_signals=True, close_fds=True, preexec_fn=None, creationflags=0, startupinfo=None):
        if preexec_fn is not None or creationflags != 0 or startupinfo is not None:
            raise ValueError("preexec_fn, creationflags and startupinfo are not supported")
        if process_group == -1:
            process_group = None
        return await start((command, *_open_streams(streams), cwd, None if env is None else dict(env), executable, list(pass_fds), process_group,
                            start_new_session, restore_signals))

    # Sockets that stay their owner's.

    def _fd(self, sock):
        base_events._check_ssl_socket(sock)
        if self._debug and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")
        return sock.fileno()

    async def sock_recv(self, sock, n):
        return await weft_core.sock_recv(self, self._fd(sock), n)

    async def sock_recv_into(self, sock, buf):
        fd = self._fd(sock)
        return await weft_core.sock_recv_into(self, fd, buf)

    async def sock_recvfrom(self, sock, bufsize):
        return await weft_core.sock_recvfrom(self, self._fd(sock), bufsize)

    async def sock_recvfrom_into(self, sock, buf, nbytes=0):
        return await weft_core.sock_recvfrom_into(self, self._fd(sock), buf, nbytes)

    async def sock_sendall(self, sock, data):
        await weft_core.sock_sendall(self, self._fd(sock), data)

    async def sock_sendto(self, sock, data, address):
        return await weft_core.sock_sendto(self, self._fd(sock), data, sock.family, address)

    async def sock_connect(self, sock, address):
        fd = self._fd(sock)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            _, _, _, _, address = (await self._ensure_resolved(address, family=sock.family, type=sock.type, proto=sock.proto, loop=self))[0]
        await weft_core.sock_connect(self, fd, sock.family, address)

    async def sock_accept(self, sock):
        fd, address = await weft_core.sock_accept(self, self._fd(sock))
        accepted = socket.socket(fileno=fd)
        accepted.setblocking(False)
        return accepted, address

    # Files. asyncio's sendfile() and sock_sendfile() check what they are given, and call these.

    async def _sock_sendfile_native(self, sock, file, offset, count):
        return await weft_core.sock_sendfile(self, sock.fileno(), file, _file_number(file), offset, count, False)

    async def _sock_sendfile_fallback(self, sock, file, offset, count):
        return await weft_core.sock_sendfile(self, sock.fileno(), file, -1, offset, count, True)

    async def _sendfile_native(self, transp, file, offset, count):
        return await weft_core.sendfile(self, transp, file, _file_number(file), offset, count, False)

    async def _sendfile_fallback(self, transp, file, offset, count):
        if not isinstance(transp, weft_core.Transport):
            return await super()._sendfile_fallback(transp, file, offset, count)
        return await weft_core.sendfile(self, transp, file, -1, offset, count, True)
