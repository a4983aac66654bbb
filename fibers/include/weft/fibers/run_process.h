// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Running a program to its end.
//
//   run_process({"cp", from, to});                              // CalledProcessError if it fails
//   const auto result = run_process({"git", "log"}, {.capture_stdout = true});
//   parse(*result.stdout);
//
// In the background, with its streams at hand:
//
//   const auto process = nursery.start<std::shared_ptr<Process>>([&](auto& status) {
//     run_process({"cat"}, {.stdin = kPipe, .stdout = kPipe}, status);
//   });
//
// A cancellation ends the child too. A program that is itself ended by a signal leaves its children
// running: let it handle SIGTERM by a cancellation, as examples/reload.cc does, and against SIGKILL
// and crashes give its children {.parent_death_signal = SIGTERM}.
//
// (Trio: run_process.)

#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "weft/fibers/nursery.h"
#include "weft/fibers/process.h"

namespace weft::fibers {

// How a run_process() that is cancelled ends its child. It runs shielded and may wait; it is itself
// cancelled as soon as the child has ended. The default sends SIGTERM; if the child is still there
// after 5 seconds, it sends SIGKILL and logs a warning. If the system does not allow that either,
// it logs another warning. run_process() waits for the child in any case.
using DeliverCancel = std::function<void(Process&)>;
void deliver_cancel(Process& process);

struct RunProcessOptions {
  // What the child reads, or where its input comes from. It is no error if the child does not read
  // it all.
  std::variant<std::string, Stdio> stdin = std::string();
  Stdio stdout = kInherit;
  Stdio stderr = kInherit;
  // Collect what the child writes, without limit.
  bool capture_stdout = false;
  bool capture_stderr = false;
  // An exit status other than 0 is a CalledProcessError.
  bool check = true;
  DeliverCancel deliver_cancel = &fibers::deliver_cancel;
  // As in ProcessOptions.
  std::string cwd = {};
  std::optional<std::map<std::string, std::string>> env = std::nullopt;
  bool shell = false;
  std::string executable = {};
  std::vector<int> pass_fds = {};
  std::optional<int> process_group = std::nullopt;
  bool start_new_session = false;
  bool restore_signals = true;
  std::optional<int> parent_death_signal = std::nullopt;
};

// (Python: subprocess.CompletedProcess.)
struct CompletedProcess {
  std::vector<std::string> args = {};
  int returncode = 0;  // As Process::returncode.
  std::optional<std::string> stdout = std::nullopt;
  std::optional<std::string> stderr = std::nullopt;
};

// A child ended with another status than 0. (Python: subprocess.CalledProcessError.)
class CalledProcessError : public std::runtime_error {
 public:
  explicit CalledProcessError(CompletedProcess process);
  const std::vector<std::string>& cmd() const { return process_->args; }
  int returncode() const { return process_->returncode; }
  // What was captured.
  const std::optional<std::string>& stdout() const { return process_->stdout; }
  const std::optional<std::string>& stderr() const { return process_->stderr; }

 private:
  std::shared_ptr<const CompletedProcess> process_;
};

// Starts a program as open_process() does, waits for its end and, with capture, for the end of what
// it writes. Throws CalledProcessError, and what open_process() throws; UsageError for kPipe, whose
// stream nobody could get at.
//
// Blocks: yes, always a checkpoint.
// Cancel: ends the child by `deliver_cancel`, and waits for that.
// Threads: the run's own only.
CompletedProcess run_process(const std::vector<std::string>& command,
                             const RunProcessOptions& options = {});
// The same under Nursery::start(), which returns the Process as soon as it runs; kPipe is allowed.
//
// Blocks: yes, always a checkpoint.
// Cancel: ends the child by `deliver_cancel`, and waits for that.
// Threads: the run's own only.
CompletedProcess run_process(const std::vector<std::string>& command,
                             const RunProcessOptions& options,
                             TaskStatus<std::shared_ptr<Process>>& status);

}  // namespace weft::fibers
