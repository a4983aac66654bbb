// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What children as transports and as processes have in common.

#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/cpython/src/py.h"
#include "weft/loop/loop_subprocess.h"
#include "weft/loop/subprocess_transport.h"

namespace weft::python {

// How to start a child, as Python tells it: ([word...] or one command for the shell, stdin, stdout,
// stderr, cwd, env, executable, [fd...], process_group, start_new_session, restore_signals)
class ChildRequest {
 public:
  // Of that tuple. Throws PythonError.
  explicit ChildRequest(PyObject* told);
  ChildRequest(const ChildRequest&) = delete;
  ChildRequest& operator=(const ChildRequest&) = delete;

  // They refer to this request.
  const loop::SubprocessOptions& options() const { return options_; }
  bool is_for_shell() const { return line_.has_value(); }
  const std::string& line() const { return *line_; }
  loop::Command command() const { return loop::Command(words_); }

 private:
  void take_environment(PyObject* env);

  std::optional<std::string> line_;
  std::vector<std::string> words_;
  std::string cwd_;
  std::map<std::string, std::string> environment_;
  std::string executable_;
  std::vector<int> passed_;
  loop::SubprocessOptions options_;
};

// Calls `send` with a signal's number; None, or null with a Python exception.
template <class F>
PyObject* signalled(PyObject* number, F&& send) {
  const int signal = static_cast<int>(PyLong_AsLong(number));
  if (signal == -1 && PyErr_Occurred() != nullptr) return nullptr;
  return guarded([&]() -> PyObject* {
    try {
      std::forward<F>(send)(signal);
    } catch (const loop::ProcessLookupError&) {
      PyErr_SetNone(PyExc_ProcessLookupError);
      return nullptr;
    }
    return Py_NewRef(Py_None);
  });
}

}  // namespace weft::python
