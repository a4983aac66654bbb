// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A child process, whose pipes are streams.
//
//   Process process = co_await create_subprocess_exec({"sort", "-u"},
//                                                     {.stdin = kPipe, .stdout = kPipe});
//   auto [out, err] = co_await process.communicate("b\na\nb\n");
//   int code = co_await process.wait();
//
// The functions without a loop are for its callbacks and tasks: elsewhere they throw UsageError.
// With callbacks instead of streams: loop_subprocess.h. (asyncio.subprocess.)

#pragma once

#include <cstddef>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/stream_reader.h"
#include "weft/loop/stream_writer.h"
#include "weft/loop/subprocess_transport.h"

namespace weft::loop {

namespace detail {
class ChildStreams;
}

// A handle: copies are the same child. When the last one goes the child goes on: without its stdin,
// if that is a pipe and open, of which the log then tells as of every StreamWriter. The end of the
// loop kills it. (asyncio.subprocess.Process.)
class Process {
 public:
  // An empty one; only assignment and destruction are allowed on it.
  Process() = default;

  // This side of each stream that is a kPipe; empty otherwise. (The C library defines these names
  // as macros for themselves.)
  std::optional<StreamWriter> stdin;
  std::optional<StreamReader> stdout;
  std::optional<StreamReader> stderr;

  int pid() const { return transport_.get_pid(); }
  // The exit status, or minus the number of the signal that ended the child; nothing while it runs.
  std::optional<int> returncode() const { return transport_.get_returncode(); }
  // Waits for the child's end, and gives its return code. Any number of tasks may wait. A child
  // that writes more into a pipe than fits waits for somebody to read it: communicate() does.
  //
  // Blocks: whoever awaits it, until then.
  // Cancel: at once; the child goes on.
  // Threads: the loop's own only.
  Coro<int> wait() const;
  // Writes `input` to stdin and closes that; gives all that the child writes to stdout and stderr,
  // once it has closed both and has ended. Empty for a stream that is no pipe (asyncio: None). That
  // the child does not read its input is no error. The input is copied. Throws UsageError if there
  // is input and stdin is no pipe, or another task waits for output.
  //
  // Blocks: whoever awaits it, until then.
  // Cancel: at once. Nothing is lost: the input is sent, and the output stays where it is, for
  //   another communicate() or for who reads stdout and stderr. The child goes on.
  // Threads: the loop's own only.
  Coro<std::pair<std::string, std::string>> communicate(
      std::optional<std::string_view> input = std::nullopt) const;

  // Nothing happens if the child has ended meanwhile. Throw ProcessLookupError after that has been
  // noticed and its pipes have closed, std::system_error if the system does not allow it.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void send_signal(int signal) { transport_.send_signal(signal); }
  void terminate() { transport_.terminate(); }  // SIGTERM.
  void kill() { transport_.kill(); }            // SIGKILL.

  // The child as a transport. close() kills it. (asyncio: _transport.)
  const SubprocessTransport& transport() const { return transport_; }

 private:
  friend struct ProcessAccess;
  Process(SubprocessTransport transport, const std::shared_ptr<detail::ChildStreams>& streams);

  SubprocessTransport transport_;
};

// Starts a program: create_subprocess_exec({"sort", "-u"}, {.stdin = kPipe}). Streams that are left
// out are kInherit. `limit` is that of the readers. Throws as EventLoop::subprocess_exec does.
//
// Blocks: whoever awaits it, until the program has been loaded.
// Cancel: kills the child.
// Threads: the loop's own only.
Coro<Process> create_subprocess_exec(EventLoop& loop, const Command& command,
                                     const SubprocessOptions& options = {},
                                     std::size_t limit = StreamReader::kDefaultLimit);
Coro<Process> create_subprocess_exec(const Command& command, const SubprocessOptions& options = {},
                                     std::size_t limit = StreamReader::kDefaultLimit);
// The same of one string for /bin/sh.
//
// Blocks: whoever awaits it, until the shell has been loaded.
// Cancel: kills the child.
// Threads: the loop's own only.
Coro<Process> create_subprocess_shell(EventLoop& loop, std::string_view command,
                                      const SubprocessOptions& options = {},
                                      std::size_t limit = StreamReader::kDefaultLimit);
Coro<Process> create_subprocess_shell(std::string_view command,
                                      const SubprocessOptions& options = {},
                                      std::size_t limit = StreamReader::kDefaultLimit);

}  // namespace weft::loop
