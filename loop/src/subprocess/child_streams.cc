// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/src/subprocess/child_streams.h"

#include <utility>

#include "weft/loop/detail/stream_access.h"

namespace weft::loop::detail {

ChildStreams::ChildStreams(EventLoop& loop, const SubprocessOptions& options, std::size_t limit)
    : WriterSide(loop) {
  if (options.stdout == kPipe) out_.emplace(loop, limit);
  if (options.stderr == kPipe) err_.emplace(loop, limit);
}

void ChildStreams::connection_made(SubprocessTransport made) {
  for (const int fd : {1, 2}) {
    if (!reader(fd)) continue;
    reader(fd)->set_transport(made.get_pipe_transport(fd));
    ++open_outputs_;
  }
  transport_ = std::move(made);
}

void ChildStreams::pipe_data_received(int fd, std::string_view data) {
  reader(fd)->feed_data(data);
}

void ChildStreams::pipe_connection_lost(int fd, std::exception_ptr error) {
  if (fd == 0) return closed(std::move(error));
  // The reader may outlive the child, and is to hold nothing of it.
  StreamAccess::core(*reader(fd))->replace_transport({});
  if (error == nullptr) {
    reader(fd)->feed_eof();
  } else {
    reader(fd)->set_exception(std::move(error));
  }
  --open_outputs_;
  close_if_over();
}

void ChildStreams::process_exited() {
  peer_has_ended();
  close_if_over();
}

// The child's own children may hold its outputs, and are heard to their ends.
void ChildStreams::close_if_over() {
  if (!peer_ended() || open_outputs_ > 0) return;
  if (const SubprocessTransport over = std::exchange(transport_, {})) {
    SubprocessTransport(over).close();
  }
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): the base class's.
void ChildStreams::connection_lost(std::exception_ptr) {
  transport_ = {};
}

}  // namespace weft::loop::detail
