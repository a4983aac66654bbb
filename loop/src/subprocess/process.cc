// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <exception>
#include <utility>

#include "loop/src/subprocess/child_streams.h"
#include "weft/fibers/errors.h"
#include "weft/loop/detail/stream_access.h"
#include "weft/loop/subprocess.h"

namespace weft::loop {

using detail::ChildStreams;
using detail::StreamReaderCore;
using Output = std::pair<std::string, std::string>;
using Reader = detail::Ref<StreamReaderCore>;

namespace {

constexpr const char* kCommunicate = "communicate";

// Null if the stream is no pipe.
Reader reader_of(const std::optional<StreamReader>& stream) {
  return stream ? StreamAccess::core(*stream) : Reader();
}

// While one reader is waited for, the other one takes what comes: a child that writes much to both
// would else wait for this side for ever.
class Gathering {
 public:
  explicit Gathering(Reader reader) {
    if (!reader) return;
    reader->begin_gathering(kCommunicate);
    reader_ = std::move(reader);
  }
  Gathering(const Gathering&) = delete;
  Gathering& operator=(const Gathering&) = delete;
  ~Gathering() {
    if (reader_) reader_->end_gathering();
  }

 private:
  Reader reader_;
};

// All of the input is sent before the pipe closes: there is nothing to wait for. After a cancelled
// call it has been sent before.
void feed(const Process& process, std::string_view input) {
  if (!process.stdin || process.stdin->is_closing()) return;
  StreamWriter writer = *process.stdin;
  if (!input.empty()) writer.write(input);
  writer.close();
}

std::string take_all(const Reader& reader) {
  return reader ? reader->take(reader->data().size()) : std::string();
}

Coro<int> wait_for(SubprocessTransport transport) {
  auto& core = static_cast<detail::SubprocessCore&>(TransportAccess::core(transport));
  const Future<int> ended = core.wait();
  co_return co_await ended;
}

Coro<Output> communicate_with(Process process, std::string input) {
  const Reader out = reader_of(process.stdout);
  const Reader err = reader_of(process.stderr);
  const Gathering gathering_out(out);
  const Gathering gathering_err(err);
  feed(process, std::exchange(input, {}));
  if (out) co_await StreamReaderCore::wait_eof(out, kCommunicate);
  if (err) co_await StreamReaderCore::wait_eof(err, kCommunicate);
  co_await process.wait();
  // From here on nothing waits, so no cancellation can lose the output.
  std::string output = take_all(out);
  co_return Output(std::move(output), take_all(err));
}

// --- Starting one. ---

SubprocessOptions with_streams(SubprocessOptions options) {
  options.stdin = options.stdin.value_or(kInherit);
  options.stdout = options.stdout.value_or(kInherit);
  options.stderr = options.stderr.value_or(kInherit);
  return options;
}

auto streams_of(EventLoop& loop, const SubprocessOptions& options, std::size_t limit) {
  return [streams = std::make_shared<ChildStreams>(loop, options, limit)] { return streams; };
}

// A child that nobody gets is not to go on.
Process take_over(SubprocessTransport transport, const std::shared_ptr<ChildStreams>& streams) {
  try {
    return ProcessAccess::make(transport, streams);
  } catch (...) {
    transport.close();
    throw;
  }
}

Coro<Process> make_process(
    Coro<std::pair<SubprocessTransport, std::shared_ptr<ChildStreams>>> starting) {
  auto made = co_await std::move(starting);
  co_return take_over(std::move(made.first), made.second);
}

}  // namespace

Process::Process(SubprocessTransport transport, const std::shared_ptr<ChildStreams>& streams)
    : stdout(streams->out()), stderr(streams->err()), transport_(std::move(transport)) {
  if (const Transport pipe = transport_.get_pipe_transport(0)) {
    stdin =
        StreamAccess::wrap(detail::make_counted<detail::StreamWriterCore>(pipe, streams, Reader()));
  }
}

Coro<int> Process::wait() const {
  return wait_for(transport_);
}

Coro<Output> Process::communicate(std::optional<std::string_view> input) const {
  if (input && !stdin) {
    throw fibers::UsageError(
        "communicate() has input, and the child's stdin is no pipe; start it with .stdin = kPipe");
  }
  return communicate_with(*this, std::string(input.value_or("")));
}

Coro<Process> create_subprocess_exec(EventLoop& loop, const Command& command,
                                     const SubprocessOptions& options, std::size_t limit) {
  const SubprocessOptions with = with_streams(options);
  return make_process(loop.subprocess_exec(streams_of(loop, with, limit), command, with));
}
Coro<Process> create_subprocess_exec(const Command& command, const SubprocessOptions& options,
                                     std::size_t limit) {
  return create_subprocess_exec(get_running_loop(), command, options, limit);
}

Coro<Process> create_subprocess_shell(EventLoop& loop, std::string_view command,
                                      const SubprocessOptions& options, std::size_t limit) {
  const SubprocessOptions with = with_streams(options);
  return make_process(loop.subprocess_shell(streams_of(loop, with, limit), command, with));
}
Coro<Process> create_subprocess_shell(std::string_view command, const SubprocessOptions& options,
                                      std::size_t limit) {
  return create_subprocess_shell(get_running_loop(), command, options, limit);
}

}  // namespace weft::loop
