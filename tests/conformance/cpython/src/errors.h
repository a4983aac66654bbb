// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Python's exceptions as C++ ones, and back.

#pragma once

#include <exception>
#include <string>

#include "tests/conformance/cpython/src/py.h"
#include "weft/fibers/cancelled.h"
#include "weft/loop/errors.h"

namespace weft::python {

// A Python exception inside a C++ one. The future that ends with it holds the Python object, where
// the garbage collector sees it, and gives that reference to the C++ exception when it goes: others
// may have copies of the std::exception_ptr. An exception that no future holds owns its reference
// from the beginning.
class Raised {
 public:
  enum class Keep : bool { kBorrowed, kOwned };
  Raised(PyObject* error, Keep keep) : error_(error), owned_(keep == Keep::kOwned) {
    if (owned_) Py_INCREF(error_);
  }
  Raised(const Raised& other)
      : Raised(other.error_, other.owned_ ? Keep::kOwned : Keep::kBorrowed) {}
  Raised& operator=(const Raised&) = delete;
  PyObject* error() const { return error_; }
  // Takes over the reference of a future that goes.
  void take_over() const {
    if (std::exchange(owned_, true)) Py_DECREF(error_);
  }

 protected:
  ~Raised();

 private:
  PyObject* error_;
  mutable bool owned_;
};

class RaisedError final : public std::exception, public Raised {
 public:
  using Raised::Raised;
  const char* what() const noexcept override { return "a Python exception"; }
};
// asyncio.CancelledError.
class RaisedCancelled final : public loop::CancelledError, public Raised {
 public:
  RaisedCancelled(PyObject* error, Keep keep) : Raised(error, keep) {}
};
// SystemExit and KeyboardInterrupt.
class RaisedInterrupt final : public fibers::KeyboardInterrupt, public Raised {
 public:
  RaisedInterrupt(PyObject* error, Keep keep) : Raised(error, keep) {}
};

// What cancel() was given, an object of any type.
class CancelMessage final : public loop::CancelledError {
 public:
  explicit CancelMessage(PyObject* message) : message_(Py_NewRef(message)) {}
  CancelMessage(const CancelMessage& other)
      : loop::CancelledError(other), message_(Py_NewRef(other.message_)) {}
  CancelMessage& operator=(const CancelMessage&) = delete;
  ~CancelMessage();
  PyObject* object() const { return message_; }

 private:
  PyObject* message_;
};

// The Python exception that is set, normalized, with its traceback. It is not set any more.
PyObject* take_error();
// Sets it. Takes a reference of its own.
void set_error(PyObject* error);
// Keeps the Python exception that is set while something else is done.
class ErrorKept {
 public:
  ErrorKept() { PyErr_Fetch(&type_, &value_, &traceback_); }
  ErrorKept(const ErrorKept&) = delete;
  ErrorKept& operator=(const ErrorKept&) = delete;
  ~ErrorKept() { PyErr_Restore(type_, value_, traceback_); }

 private:
  PyObject* type_ = nullptr;
  PyObject* value_ = nullptr;
  PyObject* traceback_ = nullptr;
};

std::exception_ptr to_cpp(PyObject* error, Raised::Keep keep);
// A new reference; never null.
PyObject* to_python(const std::exception_ptr& error);
bool is_interrupt(PyObject* error);
bool is_cancellation(PyObject* error);

// What cancel(message) passes on: null for None.
std::exception_ptr cancel_payload(PyObject* message);
// The other way; a new reference to the message, or to None.
PyObject* message_of(const std::exception_ptr& payload);

// asyncio's exceptions that have to be known here.
struct ErrorTypes {
  PyObject* cancelled = nullptr;
  PyObject* invalid_state = nullptr;
  PyObject* no_sendfile = nullptr;
};
extern ErrorTypes error_types;
bool load_error_types();

}  // namespace weft::python
