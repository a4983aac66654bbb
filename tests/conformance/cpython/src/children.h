// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What children as transports and as processes have in common.

#pragma once

#include <csignal>
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

// The methods that send signals to a child: `child(self)` is what has a send_signal().
template <auto child>
struct SignalMethods {
  static PyObject* send_signal(PyObject* self, PyObject* number) {
    const int signal = static_cast<int>(PyLong_AsLong(number));
    if (signal == -1 && PyErr_Occurred() != nullptr) return nullptr;
    return send(self, signal);
  }
  static PyObject* terminate(PyObject* self, PyObject* /*none*/) { return send(self, SIGTERM); }
  static PyObject* kill(PyObject* self, PyObject* /*none*/) { return send(self, SIGKILL); }

 private:
  static PyObject* send(PyObject* self, int signal) {
    return guarded([&]() -> PyObject* {
      try {
        child(self).send_signal(signal);
      } catch (const loop::ProcessLookupError&) {
        PyErr_SetNone(PyExc_ProcessLookupError);
        return nullptr;
      }
      return Py_NewRef(Py_None);
    });
  }
};

}  // namespace weft::python
