// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A child process as a transport: EventLoop::subprocess_exec and subprocess_shell
// (loop_subprocess.h) make one. With streams of fibers instead of callbacks: open_process().

#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/fibers/process.h"
#include "weft/loop/detail/subprocess_core.h"
#include "weft/loop/transport.h"

namespace weft::loop {

// Where a child's stream leads. (asyncio.subprocess: PIPE, STDOUT, DEVNULL.)
using fibers::kDevNull;
using fibers::kInherit;
using fibers::kPipe;
using fibers::kStdout;
using fibers::Stdio;

// A program and its arguments: {"sort", "-u"}, or a vector. (No std::initializer_list: gcc 12 has
// none in a co_await expression.)
class Command {
 public:
  Command(std::vector<std::string> words)  // NOLINT(google-explicit-constructor)
      : words_(std::move(words)) {}
  template <class... Words>
  requires(sizeof...(Words) > 0 && (std::is_convertible_v<const Words&, std::string_view> && ...))
      Command(const Words&... words) {  // NOLINT(google-explicit-constructor)
    words_.reserve(sizeof...(words));
    (words_.emplace_back(std::string_view(words)), ...);
  }
  const std::vector<std::string>& words() const { return words_; }

 private:
  std::vector<std::string> words_;
};

class SubprocessTransport;

// How to start a child. Everything is copied by the call. No strings: gcc 12 moves temporaries of a
// co_await expression about without calling their constructors. (asyncio: subprocess.Popen.)
struct SubprocessOptions {
  using Transport = SubprocessTransport;
  // Left out: kPipe.
  std::optional<Stdio> stdin = std::nullopt;
  std::optional<Stdio> stdout = std::nullopt;
  std::optional<Stdio> stderr = std::nullopt;
  // The working directory. Empty: the caller's.
  std::string_view cwd = {};
  // The child's whole environment. Null: the caller's.
  const std::map<std::string, std::string>* env = nullptr;
  // The program, if it is not the command's first word.
  std::string_view executable = {};
  // Descriptors that the child inherits, under the same numbers. It gets no others above 2.
  std::span<const int> pass_fds = {};
  // The process group that the child joins. 0: a new one of its own.
  std::optional<int> process_group = std::nullopt;
  bool start_new_session = false;
  bool restore_signals = true;
  // The signal that the system sends the child when this process ends.
  std::optional<int> parent_death_signal = std::nullopt;
};

// The child has ended, and its transport has been told so. (ProcessLookupError.)
class ProcessLookupError : public std::system_error {
 public:
  ProcessLookupError();
};

// (asyncio.SubprocessTransport.)
class SubprocessTransport : public BaseTransport {
 public:
  SubprocessTransport() = default;

  // close(): closes the pipes, and kills the child unless it has ended.

  int get_pid() const { return subprocess().pid(); }
  // The exit status, or minus the number of the signal that ended the child; nothing while it runs.
  // 255 if somebody else has reaped it.
  std::optional<int> get_returncode() const { return subprocess().returncode(); }
  // The transport of the child's descriptor: 0, to write to; 1 and 2, to read from. Empty if that
  // is no kPipe.
  Transport get_pipe_transport(int fd) const;
  // Nothing happens if the child has ended meanwhile. Throw ProcessLookupError after
  // connection_lost(), std::system_error if the system does not allow it.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void send_signal(int signal) { subprocess().send_signal(signal); }
  void terminate();  // SIGTERM.
  void kill();       // SIGKILL.

 private:
  friend struct TransportAccess;
  using BaseTransport::BaseTransport;
  detail::SubprocessCore& subprocess() const {
    return static_cast<detail::SubprocessCore&>(core());
  }
};

}  // namespace weft::loop
