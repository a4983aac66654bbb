// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's C++ coroutines as Python's: awaited in a Python task, each step of that resumes the C++
// coroutine, and what it waits for is what the task awaits.

#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "tests/conformance/cpython/src/errors.h"
#include "tests/conformance/cpython/src/py.h"
#include "weft/loop/coro.h"

namespace weft::python {

class CoroBody {
 public:
  CoroBody() = default;
  CoroBody(const CoroBody&) = delete;
  CoroBody& operator=(const CoroBody&) = delete;
  virtual ~CoroBody() = default;
  loop::detail::CoroDriver::Stop resume(std::exception_ptr error) {
    return driver_.resume(std::move(error));
  }
  loop::detail::FutureCore& awaited() const { return driver_.awaited(); }
  // Once it has ended: a new reference, or null with a Python exception. Throws what it has thrown.
  virtual PyObject* result() = 0;

 protected:
  loop::detail::CoroDriver& driver() { return driver_; }

 private:
  loop::detail::CoroDriver driver_;
};

// `convert` makes a Python object of what the coroutine returns.
template <class T, class Convert>
class ConvertedCoro final : public CoroBody {
 public:
  ConvertedCoro(loop::Coro<T> coro, Convert convert)
      : convert_(std::move(convert)), coro_(std::move(coro)) {
    loop::detail::CoroAccess::begin(coro_, driver());
  }
  PyObject* result() override {
    if constexpr (std::is_void_v<T>) {
      loop::detail::CoroAccess::take_result(coro_);
      return convert_();
    } else {
      return convert_(loop::detail::CoroAccess::take_result(coro_));
    }
  }

 private:
  Convert convert_;     // And what the coroutine refers to.
  loop::Coro<T> coro_;  // Goes first.
};

// `owner`: what the coroutine works on, which it keeps alive.
PyObject* wrap_body(PyObject* owner, std::unique_ptr<CoroBody> body);
template <class T, class Convert>
PyObject* wrap_coro(PyObject* owner, loop::Coro<T> coro, Convert convert) {
  return wrap_body(
      owner, std::make_unique<ConvertedCoro<T, Convert>>(std::move(coro), std::move(convert)));
}
// A Python coroutine as a C++ one: what it yields goes out through `passed`, and to whoever awaits
// the Python object around all this.
struct Passed {
  Ref object{nullptr};
};
loop::Coro<Ref> await_python(Ref coroutine, std::shared_ptr<Passed> passed);
// The same with such a coroutine inside.
PyObject* wrap_body(PyObject* owner, std::unique_ptr<CoroBody> body,
                    std::shared_ptr<Passed> passed);

// Converts nothing into None or True.
inline PyObject* to_none() {
  return Py_NewRef(Py_None);
}
inline PyObject* to_true() {
  return Py_NewRef(Py_True);
}

bool add_coro_type(PyObject* module);

// How often a primitive or combinator of weft's has been made or used.
extern std::uint64_t primitives_used;

}  // namespace weft::python
