// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Python's factories of protocols, as weft's calls take them.

#pragma once

#include <exception>
#include <memory>
#include <utility>

#include "tests/conformance/cpython/src/errors.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/py.h"
#include "tests/conformance/cpython/src/py_protocol.h"

namespace weft::python {

class Factory {
 public:
  // Of any number of protocols. `tls`: None, or the TLSLayer of their connections, which this
  // keeps.
  Factory(LoopObject& loop, PyObject* fn, PyObject* tls = Py_None)
      : loop_(loop), fn_(Py_NewRef(fn)), tls_(Py_NewRef(tls)) {}
  // Of one, whose connection closes the link's file at its end.
  Factory(LoopObject& loop, PyObject* fn, std::shared_ptr<Link> link, PyObject* tls = Py_None)
      : loop_(loop), fn_(Py_NewRef(fn)), tls_(Py_NewRef(tls)), link_(std::move(link)) {}

  std::shared_ptr<loop::BaseProtocol> operator()() { return make(&wrap_protocol); }

 protected:
  template <class Wrap>
  std::shared_ptr<loop::BaseProtocol> make(Wrap wrap) {
    std::shared_ptr<Link> link =
        link_ != nullptr ? std::exchange(link_, nullptr) : std::make_shared<Link>(Py_None, Py_None);
    link->tls = tls_;
    try {
      const Owned protocol(PyObject_CallNoArgs(fn_.get()));
      if (!protocol) throw PythonError();
      return wrap(loop_, protocol.get(), std::move(link));
    } catch (const PythonError&) {
      const Owned error(take_error());
      std::rethrow_exception(to_cpp(error.get(), Raised::Keep::kOwned));
    }
  }

 private:
  LoopObject& loop_;
  Ref fn_;
  Ref tls_;
  std::shared_ptr<Link> link_;
};

// The same of a child's.
class SubprocessFactory : public Factory {
 public:
  using Factory::Factory;
  std::shared_ptr<loop::SubprocessProtocol> operator()() {
    return std::static_pointer_cast<loop::SubprocessProtocol>(make(&wrap_subprocess_protocol));
  }
};

// And of an endpoint for datagrams.
class DatagramFactory : public Factory {
 public:
  using Factory::Factory;
  std::shared_ptr<loop::DatagramProtocol> operator()() {
    return std::static_pointer_cast<loop::DatagramProtocol>(make(&wrap_datagram_protocol));
  }
};

}  // namespace weft::python
