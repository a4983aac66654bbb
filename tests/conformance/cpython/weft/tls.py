# SPDX-FileCopyrightText: The weft authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""weft's TLS for connections of Python's, whose contexts are Python's ssl.SSLContext.

weft uses the SSL_CTX inside. What CPython puts beside each of its connections for a callback is not there, so contexts with such a callback
are left to asyncio's TLS, on weft's loop: why_not() says which."""
import os
import ssl
import sys
from asyncio import constants, sslproto

import weft_core

left_to_asyncio = 0  # How often asyncio's TLS was taken, because weft's could not use the context.


def _find_out():
    """Whether weft can look into Python's contexts: it knows where their SSL_CTX is, and both use the same OpenSSL."""
    return (3, 11) <= sys.version_info < (3, 14) and weft_core.understands(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


_understood = _find_out()


def why_not(context, server_side):
    """Why this context is for asyncio's TLS; None if it is not."""
    if not _understood:
        return "this Python's contexts are not understood"
    if not isinstance(context, ssl.SSLContext):
        return "it is no context"
    if type(context).wrap_bio is not ssl.SSLContext.wrap_bio or context.sslobject_class is not ssl.SSLObject:
        return "it makes objects of its own"
    for name in ("keylog_filename", "sni_callback", "_msg_callback", "post_handshake_auth"):
        if getattr(context, name, None):
            return f"{name} needs an object of Python's for each connection"
    if not context.hostname_checks_common_name:
        return "weft looks for the host in the common name, too"
    if context.protocol is (ssl.PROTOCOL_TLS_CLIENT if server_side else ssl.PROTOCOL_TLS_SERVER):
        return "it is for the other side"
    return None


class _Layer(weft_core.TLSLayer):
    def __init__(self, context, server_side, server_hostname, *timeouts):
        hostname = "" if server_side or not server_hostname else context._encode_hostname(server_hostname)
        super().__init__(context, server_side, context.check_hostname and not server_side, hostname, *timeouts)
        self.context = context
        self.server_side = server_side
        self.server_hostname = hostname or None


def _check_timeouts(**timeouts):
    for name, seconds in timeouts.items():
        if seconds is not None and seconds <= 0:
            raise ValueError(f"{name} should be a positive number, got {seconds}")


def layer(context, *, server_side, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout):
    """What weft is to put on connections, and the context; None instead of a layer if that is asyncio's part. True is asyncio's usual context."""
    if isinstance(context, bool):
        context = sslproto._create_transport_context(server_side, server_hostname)
    if why_not(context, server_side) is not None:
        global left_to_asyncio
        left_to_asyncio += 1
        return None, context
    _check_timeouts(ssl_handshake_timeout=ssl_handshake_timeout, ssl_shutdown_timeout=ssl_shutdown_timeout)
    if context.check_hostname and not server_side and not server_hostname:
        raise ValueError("check_hostname requires server_hostname")
    return _Layer(context, server_side, server_hostname, ssl_handshake_timeout or constants.SSL_HANDSHAKE_TIMEOUT,
                  ssl_shutdown_timeout or constants.SSL_SHUTDOWN_TIMEOUT), context


def _decode(der):
    """The dictionary that CPython makes of a certificate, which it reads from a file."""
    fd = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(fd, ssl.DER_cert_to_PEM_cert(der).encode())
        return ssl._ssl._test_decode_cert(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


class SSLObject:
    """What asyncio has as `ssl_object`: what there is to know of a connection, for looking at."""

    def __init__(self, transport):
        self._transport = transport

    context = property(lambda self: self._transport._layer.context)
    server_side = property(lambda self: self._transport._layer.server_side)
    server_hostname = property(lambda self: self._transport._layer.server_hostname)

    def version(self):
        return self._transport._tls_version()

    def cipher(self):
        return self._transport._tls_cipher()

    def compression(self):
        return None

    def selected_alpn_protocol(self):
        return self._transport._tls_alpn_protocol()

    def getpeercert(self, binary_form=False):
        der = self._transport._tls_peer_certificate()
        if der is None or binary_form:
            return der
        return _decode(der) if self.context.verify_mode != ssl.CERT_NONE else {}


def _extra_info(self, name, default=None):
    if name == "sslcontext":
        return self._layer.context
    if name in ("ssl_object", "peercert", "cipher", "compression") and self._tls_is_shaken():
        found = SSLObject(self)
        return found if name == "ssl_object" else getattr(found, "getpeercert" if name == "peercert" else name)()
    return weft_core.Transport.get_extra_info(self, name, default)


weft_core.SSLTransport.get_extra_info = _extra_info
