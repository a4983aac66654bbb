// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/loop_pipes.h"

#include "loop/src/pipes/pipe_transport.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {

namespace {

detail::PipeTransport* make_pipe(detail::LoopCore& core, fibers::detail::PlainFd fd,
                                 std::shared_ptr<BaseProtocol> protocol, bool reads) {
  if (reads) return new detail::ReadPipe(core, std::move(fd), std::move(protocol));
  return new detail::WritePipe(core, std::move(fd), std::move(protocol));
}

// Nobody gets a transport whose making was cut short.
struct AbortUnlessMade {
  BaseTransport transport;
  bool made = false;
  ~AbortUnlessMade() {
    if (!made) TransportAccess::core(transport).force_close(nullptr);
  }
};

}  // namespace

Coro<BaseTransport> LoopPipes::connect_pipe(std::shared_ptr<BaseProtocol> protocol,
                                            fibers::detail::PlainFd fd, bool reads) {
  Future<void> made = create_future<void>();
  detail::PipeTransport* const pipe = make_pipe(*core_, std::move(fd), std::move(protocol), reads);
  AbortUnlessMade making{TransportAccess::share<BaseTransport>(*pipe)};
  pipe->release();
  pipe->begin(made);
  co_await made;
  making.made = true;
  co_return making.transport;
}

}  // namespace weft::loop
