// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Protocols that are Python's, as weft's transports see them.

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/py.h"
#include "weft/loop/protocol.h"

namespace weft::python {

// What the protocols that a transport has one after the other share. When the last of them goes,
// the connection is over, and the Python file that stands for its descriptor is closed.
struct Link {
  Link(PyObject* given_file, PyObject* given_info)
      : file(Py_NewRef(given_file)), info(Py_NewRef(given_info)) {}
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link();
  Ref transport{nullptr};  // From connection_made() on.
  // A socket or pipe that Python was asked with, or that stands for the descriptor (a copy of it);
  // and what get_extra_info() gives of it. None: nothing yet.
  Ref file;
  Ref info;
  Ref tls = Ref(Py_NewRef(Py_None));  // The TLSLayer that the transport has.
  std::vector<Ref> replaced;          // Transports before start_tls(), the oldest first.
  bool paused = false;                // Writing, as the protocols have been told.
};

class PythonProtocol {
 public:
  // Takes references of its own. Calls run in a copy of the current context. Throws PythonError.
  PythonProtocol(LoopObject& loop, PyObject* protocol, std::shared_ptr<Link> link);
  PythonProtocol(const PythonProtocol&) = delete;
  PythonProtocol& operator=(const PythonProtocol&) = delete;
  virtual ~PythonProtocol();

  LoopObject& loop() const { return loop_; }
  PyObject* object() const { return protocol_; }
  const std::shared_ptr<Link>& link() const { return link_; }

 protected:
  // Calls a method with `arg`, or without if that is null. A new reference; what it raises is
  // thrown.
  PyObject* call(PyObject* name, PyObject* arg = nullptr, PyObject* second = nullptr);
  // The same of a method that is called directly by write(): in the context that is there.
  PyObject* call_here(PyObject* name);
  // In the protocol's context, unless one of its methods runs.
  class Entered;
  // The Python object of the transport, which connection_made() is given.
  void make_object(const loop::BaseTransport& transport);
  void made(const loop::BaseTransport& transport);
  void lost(const std::exception_ptr& error);
  bool eof();

 private:
  LoopObject& loop_;
  PyObject* const protocol_;
  PyObject* const context_;
  std::shared_ptr<Link> link_;
  std::uint32_t depth_ = 0;  // Of calls in its context.
};

// Throws the Python exception that is set. SystemExit and KeyboardInterrupt leave the loop.
[[noreturn]] void throw_raised(LoopObject& loop);

// A Protocol, a BufferedProtocol or weft's StreamReaderProtocol, whichever the Python object is.
// Throws PythonError.
std::shared_ptr<loop::BaseProtocol> wrap_protocol(LoopObject& loop, PyObject* protocol,
                                                  std::shared_ptr<Link> link);
std::shared_ptr<loop::BaseProtocol> wrap_subprocess_protocol(LoopObject& loop, PyObject* protocol,
                                                             std::shared_ptr<Link> link);
std::shared_ptr<loop::BaseProtocol> wrap_datagram_protocol(LoopObject& loop, PyObject* protocol,
                                                           std::shared_ptr<Link> link);
// Of the kind that the transport drives.
std::shared_ptr<loop::BaseProtocol> wrap_protocol_for(const loop::detail::TransportCore& core,
                                                      LoopObject& loop, PyObject* protocol,
                                                      std::shared_ptr<Link> link);
// Null if it is none of Python's.
PythonProtocol* python_protocol(loop::BaseProtocol* protocol);

// Names of methods, and asyncio.BufferedProtocol.
bool load_protocol_names();

}  // namespace weft::python
