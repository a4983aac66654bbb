// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/run_process.h"

#include <cstring>
#include <system_error>
#include <utility>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/log.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {

namespace {

constexpr Duration kPatience = std::chrono::seconds(5);

// "command 'x' exited with 3", "... was ended by SIGTERM".
std::string describe(const CompletedProcess& process) {
  std::string text = "the command '";
  for (const std::string& word : process.args) {
    if (&word != &process.args.front()) text += ' ';
    text += word;
  }
  text += '\'';
  if (process.returncode >= 0) return text + " exited with " + std::to_string(process.returncode);
  const char* name = ::sigabbrev_np(-process.returncode);
  return text + " was ended by " +
         (name != nullptr ? "SIG" + std::string(name)
                          : "signal " + std::to_string(-process.returncode));
}

void feed(FdStream stream, const std::string& input) {
  try {
    stream.send_all(input);
  } catch (const BrokenResourceError&) {
    // It did not want to read it all.
  }
}

void collect(FdStream stream, std::optional<std::string>& output) {
  output.emplace();
  for (std::string data = stream.receive_some(); !data.empty(); data = stream.receive_some()) {
    *output += data;
  }
}

FdStream take(std::optional<FdStream>& stream) {
  FdStream taken = std::move(*stream);
  stream.reset();
  return taken;
}

// Where one of the two outputs leads.
Stdio output_of(const Stdio& stdio, bool captured, bool has_status, const char* name) {
  if (captured && !(stdio == kInherit)) {
    throw UsageError(std::string("capture_") + name + " and " + name +
                     " exclude each other: give one of them");
  }
  if (stdio == kPipe && !has_status) {
    throw UsageError(std::string("nobody could read the pipe of ") + name + ": use capture_" +
                     name + ", or nursery.start() to get at the process");
  }
  return captured ? kPipe : stdio;
}

ProcessOptions process_options(const RunProcessOptions& options, bool has_status) {
  const auto* input = std::get_if<Stdio>(&options.stdin);
  if (input != nullptr && *input == kPipe && !has_status) {
    throw UsageError(
        "nobody could write to the pipe of stdin: give a string as stdin, or use nursery.start() "
        "to get at the process");
  }
  return {.stdin = input != nullptr ? *input : kPipe,
          .stdout = output_of(options.stdout, options.capture_stdout, has_status, "stdout"),
          .stderr = output_of(options.stderr, options.capture_stderr, has_status, "stderr"),
          .cwd = options.cwd,
          .env = options.env,
          .shell = options.shell,
          .executable = options.executable,
          .pass_fds = options.pass_fds,
          .process_group = options.process_group,
          .start_new_session = options.start_new_session,
          .restore_signals = options.restore_signals,
          .parent_death_signal = options.parent_death_signal};
}

// What `deliver` throws. Without it the child may not have got the message, and gets a plainer one.
std::exception_ptr try_to_deliver(Process& process, const DeliverCancel& deliver) {
  try {
    deliver(process);
    return nullptr;
  } catch (const Cancelled&) {
    throw;
  } catch (...) {
    try {
      process.kill();
    } catch (const std::system_error&) {
      // Then nobody can, and what comes out says so as well.
    }
    return std::current_exception();
  }
}

// The wait was cut short. Whatever happens now, this does not return before the child has ended.
void end_child(Process& process, const DeliverCancel& deliver, Nursery& nursery) {
  std::exception_ptr failed;
  CancelScope shield({.shield = true});
  shield.run([&] {
    open_nursery([&](Nursery& delivering) {
      delivering.start_soon([&] { failed = try_to_deliver(process, deliver); },
                            {.name = "deliver_cancel"});
      process.wait();
      delivering.cancel_scope().cancel("the process has ended");
    });
  });
  if (failed != nullptr) nursery.add_error(failed);
}

// Feeds and collects what this call was asked to; the rest stays with the process.
void attend_streams(Process& process, const RunProcessOptions& options, CompletedProcess& result,
                    Nursery& nursery) {
  const auto* input = std::get_if<std::string>(&options.stdin);
  if (input != nullptr || options.capture_stdout) process.stdio.reset();
  if (input != nullptr) {
    nursery.start_soon(
        [stream = take(process.stdin), input]() mutable { feed(std::move(stream), *input); },
        {.name = "feed stdin"});
  }
  if (options.capture_stdout) {
    nursery.start_soon([stream = take(process.stdout),
                        &result]() mutable { collect(std::move(stream), result.stdout); },
                       {.name = "capture stdout"});
  }
  if (options.capture_stderr) {
    nursery.start_soon([stream = take(process.stderr),
                        &result]() mutable { collect(std::move(stream), result.stderr); },
                       {.name = "capture stderr"});
  }
}

CompletedProcess run_to_end(const std::vector<std::string>& command,
                            const RunProcessOptions& options,
                            TaskStatus<std::shared_ptr<Process>>* status) {
  checkpoint_if_cancelled();
  const std::shared_ptr<Process> process =
      open_process(command, process_options(options, status != nullptr));
  CompletedProcess result{.args = command};
  open_nursery([&](Nursery& nursery) {
    try {
      attend_streams(*process, options, result, nursery);
      if (status != nullptr) status->started(process);
      process->wait();
    } catch (...) {
      end_child(*process, options.deliver_cancel, nursery);
      throw;
    }
  });
  result.returncode = *process->returncode();
  if (options.check && result.returncode != 0) throw CalledProcessError(std::move(result));
  return result;
}

}  // namespace

void deliver_cancel(Process& process) {
  try {
    process.terminate();
    sleep(kPatience);
    log(LogLevel::kWarning, process.to_string() +
                                " ignored SIGTERM for 5 seconds; sending SIGKILL. (Give "
                                "run_process a deliver_cancel of your own to end it otherwise.)");
    process.kill();
  } catch (const std::system_error& error) {
    // It runs as somebody else, say. There is nothing to be done but to wait for it.
    log(LogLevel::kWarning, std::string("cannot cancel a process: ") + error.what());
  }
}

CalledProcessError::CalledProcessError(CompletedProcess process)
    : std::runtime_error(describe(process)),
      process_(std::make_shared<CompletedProcess>(std::move(process))) {}

CompletedProcess run_process(const std::vector<std::string>& command,
                             const RunProcessOptions& options) {
  return run_to_end(command, options, nullptr);
}

CompletedProcess run_process(const std::vector<std::string>& command,
                             const RunProcessOptions& options,
                             TaskStatus<std::shared_ptr<Process>>& status) {
  return run_to_end(command, options, &status);
}

}  // namespace weft::fibers
