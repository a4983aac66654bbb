// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/cpython/src/tls.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <string>
#include <utility>

#include "tests/conformance/cpython/src/coro_object.h"
#include "tests/conformance/cpython/src/holder.h"
#include "tests/conformance/cpython/src/py_protocol.h"
#include "tests/conformance/cpython/src/scheduling.h"
#include "tests/conformance/cpython/src/transport_object.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/start_tls.h"
#include "weft/loop_tls/ssl_layer.h"
#include "weft/tls/ssl_context.h"

namespace weft::python {

std::uint64_t tls_used = 0;

namespace {

// --- The layer. ---

using Timeout = std::optional<fibers::Duration>;

// One for each call of the loop's; it knows what asyncio would pass on to each connection.
class Layer final : public loop::SSLLayer {
 public:
  Layer(const fibers::SSLContext& context, std::string hostname, Timeout handshake,
        Timeout shutdown)
      : SSLLayer(context),
        hostname_(std::move(hostname)),
        handshake_(handshake),
        shutdown_(shutdown) {}
  loop::MadeLayer make(loop::LayerRequest request) override {
    request.server_side = context().is_server();
    request.server_hostname = hostname_;
    request.handshake_timeout = handshake_;
    request.shutdown_timeout = shutdown_;
    ++tls_used;
    ++transports_used;
    return SSLLayer::make(std::move(request));
  }

 private:
  const std::string hostname_;
  const Timeout handshake_;
  const Timeout shutdown_;
};
PyTypeObject* layer_type = nullptr;

// Where CPython's _ssl keeps it: right behind the head of its object.
SSL_CTX* native_context(PyObject* context) {
  return *reinterpret_cast<SSL_CTX**>(reinterpret_cast<char*>(context) + sizeof(PyObject));
}

// A reference that connections may give up without Python's lock.
std::shared_ptr<const void> keep_alive(PyObject* object) {
  return {Py_NewRef(object), [](const void* kept) {
            if (Py_IsInitialized() == 0) return;
            const WithLock lock;
            Py_DECREF(static_cast<PyObject*>(const_cast<void*>(kept)));
          }};
}

// None: the usual one. Throws PythonError.
Timeout to_timeout(PyObject* seconds) {
  if (seconds == Py_None) return std::nullopt;
  const double given = PyFloat_AsDouble(seconds);
  if (PyErr_Occurred() != nullptr) throw PythonError();
  return to_instant(given).time_since_epoch();
}

// TLSLayer(context, server_side, check_hostname, server_hostname, handshake_timeout,
//          shutdown_timeout)
int init_layer(PyObject* self, PyObject* args, PyObject* /*words*/) {
  PyObject* context = nullptr;
  int server_side = 0;
  const char* hostname = nullptr;
  PyObject* handshake = nullptr;
  PyObject* shutdown = nullptr;
  int check = 0;
  if (PyArg_ParseTuple(args, "OppsOO", &context, &server_side, &check, &hostname, &handshake,
                       &shutdown) == 0) {
    return -1;
  }
  std::optional<fibers::SSLContext> native;
  const Owned made(guarded([&] {
    native = fibers::SSLContext::from_native(native_context(context),
                                             {.server = server_side != 0,
                                              .check_hostname = check != 0,
                                              .keep_alive = keep_alive(context)});
    return Py_NewRef(Py_None);
  }));
  if (!made) return -1;
  try {
    return hold<Layer>(self, *native, std::string(hostname), to_timeout(handshake),
                       to_timeout(shutdown));
  } catch (const PythonError&) {
    return -1;
  }
}

// understands(context): whether its SSL_CTX is where it is looked for, and one of the OpenSSL that
// weft is linked with.
PyObject* understands(PyObject* /*module*/, PyObject* context) {
  const Owned module(PyImport_ImportModule("ssl"));
  const Owned number(module ? PyObject_GetAttrString(module.get(), "OPENSSL_VERSION_NUMBER")
                            : nullptr);
  const Owned options(module ? PyObject_GetAttrString(context, "options") : nullptr);
  if (!number || !options) return nullptr;
  if (PyLong_AsUnsignedLong(number.get()) != OpenSSL_version_num()) return Py_NewRef(Py_False);
  SSL_CTX* const ctx = native_context(context);
  const bool same = SSL_CTX_get_ssl_method(ctx) == TLS_client_method() &&
                    SSL_CTX_get_options(ctx) == PyLong_AsUnsignedLongLongMask(options.get());
  return PyBool_FromLong(same ? 1 : 0);
}

// --- The transport. ---

loop::Transport transport_in(PyObject* self) {
  return loop::TransportAccess::share<loop::Transport>(core_of_transport(self));
}
// Null before the handshake.
SSL* ssl_in(PyObject* self) {
  return transport_in(self).get_extra_info(loop::extra_info::ssl_object).value_or(nullptr);
}

PyObject* version(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    SSL* const ssl = ssl_in(self);
    return ssl == nullptr ? Py_NewRef(Py_None) : PyUnicode_FromString(SSL_get_version(ssl));
  });
}
PyObject* cipher(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    const auto used = transport_in(self).get_extra_info(loop::extra_info::cipher);
    if (!used) return Py_NewRef(Py_None);
    return Py_BuildValue("ssi", used->name.c_str(), used->protocol.c_str(), used->secret_bits);
  });
}
// In DER; None if the peer has shown none.
PyObject* peer_certificate(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    const auto shown = transport_in(self).get_extra_info(loop::extra_info::peercert);
    if (!shown) return Py_NewRef(Py_None);
    return PyBytes_FromStringAndSize(shown->der.data(), static_cast<Py_ssize_t>(shown->der.size()));
  });
}
PyObject* alpn_protocol(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    if (SSL* const ssl = ssl_in(self)) SSL_get0_alpn_selected(ssl, &name, &size);
    if (name == nullptr) return Py_NewRef(Py_None);
    return PyUnicode_FromStringAndSize(reinterpret_cast<const char*>(name),
                                       static_cast<Py_ssize_t>(size));
  });
}
PyObject* is_shaken(PyObject* self, PyObject* /*none*/) {
  return guarded([&] { return to_bool(ssl_in(self) != nullptr); });
}

PyMethodDef transport_methods[] = {
    {"_tls_is_shaken", is_shaken, METH_NOARGS, nullptr},
    {"_tls_version", version, METH_NOARGS, nullptr},
    {"_tls_cipher", cipher, METH_NOARGS, nullptr},
    {"_tls_peer_certificate", peer_certificate, METH_NOARGS, nullptr},
    {"_tls_alpn_protocol", alpn_protocol, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

// --- TLS on a connection that is there. ---

// start_tls(loop, transport, protocol, layer): the transport that the protocol has from now on.
PyObject* start_tls(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  PyObject* transport = nullptr;
  PyObject* protocol = nullptr;
  PyObject* tls = nullptr;
  if (PyArg_ParseTuple(args, "O!O!OO!", loop_type, &loop, transport_types.stream, &transport,
                       &protocol, layer_type, &tls) == 0) {
    return nullptr;
  }
  return guarded([&] {
    const std::shared_ptr<loop::BaseProtocol> held = core_of_transport(transport).protocol();
    const PythonProtocol* const before = python_protocol(held.get());
    if (before == nullptr) throw fibers::UsageError("the transport has no protocol of Python's");
    const std::shared_ptr<Link> link = before->link();
    std::shared_ptr<loop::BaseProtocol> above =
        before->object() == protocol ? held : wrap_protocol(as_loop(loop), protocol, link);
    auto coro = loop::start_tls(transport_in(transport), std::move(above), *layer_of(tls));
    return wrap_coro(loop, std::move(coro),
                     [link, kept = Ref(Py_NewRef(tls))](const loop::Transport& made) {
                       return replace_transport(*link, made, kept);
                     });
  });
}

PyMethodDef layer_methods[] = {{nullptr, nullptr, 0, nullptr}};
PyGetSetDef layer_members[] = {{nullptr, nullptr, nullptr, nullptr, nullptr}};
PyMethodDef functions[] = {
    {"start_tls", start_tls, METH_VARARGS, nullptr},
    {"understands", understands, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

// --- Errors. ---

// "CERTIFICATE_VERIFY_FAILED".
std::string mnemonic(unsigned long code) {
  const char* const text = ERR_reason_error_string(code);
  std::string name = text == nullptr ? "UNKNOWN" : text;
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
    return static_cast<char>(c == ' ' ? '_' : std::toupper(c));
  });
  return name;
}

bool set_text(PyObject* error, const char* name, const char* text) {
  const Owned value(PyUnicode_FromString(text));
  return value && PyObject_SetAttrString(error, name, value.get()) == 0;
}

// Of ssl's class `name`, with what it tells besides.
PyObject* make_error(const char* name, const char* number, const fibers::SSLError& error) {
  const std::string reason = mnemonic(error.code());
  const bool of_ssl = ERR_GET_LIB(error.code()) == ERR_LIB_SSL;
  const std::string text = (of_ssl ? "[SSL: " + reason + "] " : std::string()) + error.what();
  const Owned module(PyImport_ImportModule("ssl"));
  const Owned type(module ? PyObject_GetAttrString(module.get(), name) : nullptr);
  const Owned code(type ? PyObject_GetAttrString(module.get(), number) : nullptr);
  if (!code) return nullptr;
  Owned made(PyObject_CallFunction(type.get(), "Os", code.get(), text.c_str()));
  if (!made) return nullptr;
  const bool told = !of_ssl || (set_text(made.get(), "library", "SSL") &&
                                set_text(made.get(), "reason", reason.c_str()));
  return told ? made.release() : nullptr;
}

PyObject* make_untrusted(const fibers::SSLCertVerificationError& error) {
  Owned made(make_error("SSLCertVerificationError", "SSL_ERROR_SSL", error));
  const Owned code(made ? PyLong_FromLong(error.verify_code()) : nullptr);
  if (!code || PyObject_SetAttrString(made.get(), "verify_code", code.get()) < 0 ||
      !set_text(made.get(), "verify_message", X509_verify_cert_error_string(error.verify_code()))) {
    return nullptr;
  }
  return made.release();
}

}  // namespace

loop::TransportLayer* layer_of(PyObject* object) {
  if (object == Py_None) return nullptr;
  if (PyObject_TypeCheck(object, layer_type) != 0) return &held<Layer>(object);
  PyErr_SetString(PyExc_TypeError, "TLS is asked for by a TLSLayer");
  throw PythonError();
}

PyObject* replace_transport(Link& link, const loop::Transport& made, const Ref& tls) {
  link.tls = tls;
  PyObject* const object = wrap_transport(made, &link);
  if (object == nullptr) return nullptr;
  link.replaced.push_back(std::exchange(link.transport, Ref(Py_NewRef(object))));
  return object;
}

PyObject* tls_error(const std::exception_ptr& error) {
  if (const auto* untrusted = fibers::exception_cast<fibers::SSLCertVerificationError>(error)) {
    return make_untrusted(*untrusted);
  }
  if (const auto* cut_off = fibers::exception_cast<fibers::SSLEOFError>(error)) {
    return make_error("SSLEOFError", "SSL_ERROR_EOF", *cut_off);
  }
  if (const auto* other = fibers::exception_cast<fibers::SSLError>(error)) {
    return make_error("SSLError", "SSL_ERROR_SSL", *other);
  }
  return nullptr;
}

bool add_tls(PyObject* module) {
  layer_type = HolderType<Layer>::add(module, "weft_core.TLSLayer", init_layer, layer_methods,
                                      layer_members);
  transport_types.tls = add_derived_transport_type(module, "weft_core.SSLTransport",
                                                   transport_types.stream, transport_methods);
  return layer_type != nullptr && transport_types.tls != nullptr &&
         PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace weft::python
