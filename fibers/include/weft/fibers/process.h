// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Child processes that nothing supervises. Usually you want run_process() (run_process.h): it feeds
// the child, captures its output, waits for its end, and ends it when it is cancelled.
//
//   const auto process = open_process({"sort", "-u"}, {.stdin = kPipe, .stdout = kPipe});
//   process->stdin->send_all("b\na\nb\n");
//   process->stdin->close();
//   const std::string sorted = process->stdout->receive_some();
//   process->wait();
//
// (Trio: Process, lowlevel.open_process. The C library defines stdin, stdout and stderr as macros
// for themselves, so that they may name members.)

#pragma once

#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "weft/fibers/detail/child.h"
#include "weft/fibers/fd_stream.h"
#include "weft/fibers/stapled_stream.h"

namespace weft::fibers {

// Where one of a child's three streams leads. A value.
class Stdio {
 public:
  enum class Kind { kInherit, kPipe, kDevNull, kStdout, kFd };

  explicit constexpr Stdio(Kind kind) : kind_(kind) {}
  // Leads to a descriptor of the caller, who goes on owning it. The child's blocks, also while a
  // stream here uses the same pipe or terminal without blocking. A socket that does not block is a
  // UsageError.
  static constexpr Stdio fd(int fd) {
    Stdio result(Kind::kFd);
    result.fd_ = fd;
    return result;
  }
  constexpr Kind kind() const { return kind_; }
  constexpr int fd() const { return fd_; }
  friend constexpr bool operator==(const Stdio&, const Stdio&) = default;

 private:
  Kind kind_;
  int fd_ = -1;
};

inline constexpr Stdio kInherit{Stdio::Kind::kInherit};  // Where this process's leads.
inline constexpr Stdio kPipe{Stdio::Kind::kPipe};        // To a stream in the Process.
inline constexpr Stdio kDevNull{Stdio::Kind::kDevNull};
inline constexpr Stdio kStdout{Stdio::Kind::kStdout};  // For stderr: to where stdout leads.

struct ProcessOptions {
  Stdio stdin = kInherit;
  Stdio stdout = kInherit;
  Stdio stderr = kInherit;
  // The working directory. Empty: the caller's. A relative program path starts here.
  std::string cwd = {};
  // The child's whole environment. Nothing: the caller's.
  std::optional<std::map<std::string, std::string>> env = std::nullopt;
  // The command is one string for /bin/sh.
  bool shell = false;
  // The program, if it is not the command's first word.
  std::string executable = {};
  // Descriptors that the child inherits, under the same numbers. It gets no others above 2.
  std::vector<int> pass_fds = {};
  // The process group that the child joins. 0: a new one of its own.
  std::optional<int> process_group = std::nullopt;
  // Start a new session, detached from the terminal.
  bool start_new_session = false;
  // SIGPIPE and SIGXFSZ end the child, as programs expect, although this process may ignore them.
  bool restore_signals = true;
  // The signal that the system sends the child when this process ends, in whatever way, also by
  // SIGKILL: else the child goes on. A set-user-ID program is not sent it, nor are the child's own
  // children. (Linux: PR_SET_PDEATHSIG.)
  std::optional<int> parent_death_signal = std::nullopt;
};

// A child. A resource: neither copied nor moved. When it is destroyed, its streams are closed and
// the child goes on; it is reaped then when the next one is opened. Destroying it while a task
// waits for it or uses a stream of it ends this process.
class Process {
 public:
  // For open_process().
  explicit Process(detail::Spawned&& spawned);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  // This side of each stream that is a kPipe. You may move it away, or close it.
  std::optional<FdStream> stdin;
  std::optional<FdStream> stdout;
  std::optional<FdStream> stderr;
  // stdin and stdout as one stream, if both are there. It refers to them.
  std::optional<StapledStream<FdStream&, FdStream&>> stdio;

  const std::vector<std::string>& args() const { return args_; }
  int pid() const { return child_.pid(); }

  // The exit status, or minus the number of the signal that ended the child, or nothing while it
  // runs. Both functions are the same. If SIGCHLD is ignored, the system reaps the child itself and
  // the status is 0.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  std::optional<int> poll();
  std::optional<int> returncode() { return poll(); }
  // Waits for the child's end and returns its status, as poll() does. Any number of tasks may wait.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: the child goes on.
  // Threads: the run's own only.
  int wait();

  // Never reaches anybody else: nothing happens if the child has ended. Throw std::system_error
  // where the system does not allow it.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void send_signal(int signal);
  void terminate();  // SIGTERM.
  void kill();       // SIGKILL.

  // "<Process ['sleep', '9'], pid 7, running>".
  std::string to_string();

 private:
  std::vector<std::string> args_;
  struct Waiting;
  void wait_for_thread();
  std::unique_ptr<Waiting> waiting_;
  detail::Child child_;
};

// Starts a program. It is looked for as the shell does, by this process's PATH, unless its name has
// a slash. Other signals are as this thread's are. Throws std::system_error that names the program
// if it cannot be started, UsageError for an empty command and for text that no program can be
// given.
//
// Blocks: yes, always a checkpoint.
// Cancel: before any effect.
// Threads: the run's own only.
std::unique_ptr<Process> open_process(const std::vector<std::string>& command,
                                      const ProcessOptions& options = {});

}  // namespace weft::fibers
