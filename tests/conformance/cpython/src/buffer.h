// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The bytes of Python objects, where they are.

#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "tests/conformance/cpython/src/py.h"

namespace weft::python {

// Throws PythonError.
class Buffer {
 public:
  explicit Buffer(PyObject* object) {
    if (PyObject_GetBuffer(object, &view_, PyBUF_SIMPLE) == 0) return;
    if (PyErr_ExceptionMatches(PyExc_TypeError) != 0) {
      PyErr_Format(PyExc_TypeError, "data argument must be a bytes-like object, not %R",
                   Py_TYPE(object));
    }
    throw PythonError();
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { PyBuffer_Release(&view_); }
  std::string_view text() const {
    return {static_cast<const char*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }

 private:
  Py_buffer view_{};
};

// Of all that an iterable gives. Throws PythonError.
class Buffers {
 public:
  explicit Buffers(PyObject* iterable)
      : list_(PySequence_Fast(iterable, "an iterable of bytes-like objects was expected")) {
    if (list_.get() == nullptr) throw PythonError();
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list_.get()); ++i) {
      buffers_.push_back(std::make_unique<Buffer>(PySequence_Fast_GET_ITEM(list_.get(), i)));
      pieces_.push_back(buffers_.back()->text());
    }
  }
  std::span<const std::string_view> pieces() const { return pieces_; }

 private:
  Ref list_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
  std::vector<std::string_view> pieces_;
};

}  // namespace weft::python
