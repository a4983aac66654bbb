// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/stream_writer.h"

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "weft/fibers/errors.h"
#include "weft/fibers/log.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/stream_protocol.h"

namespace weft::loop {

namespace {

// One iteration of the loop, for any kind of task.
Future<void> next_iteration(EventLoop& loop) {
  Future<void> later = loop.create_future<void>();
  loop.call_soon([later]() mutable {
    if (!later.done()) later.set_result();
  });
  return later;
}

}  // namespace

namespace detail {

// Nothing that the exception handler has been told of already.
static void warn_of_closed_loop(const TransportCore& transport) noexcept {
  if (transport.reported_open()) return;
  fibers::detail::log_quietly(fibers::LogLevel::kWarning, [] {
    return std::string(
        "loop is closed: it has cut off a StreamWriter; close() it before, and await "
        "wait_closed()");
  });
}

StreamWriterCore::~StreamWriterCore() {
  const TransportCore& core = TransportAccess::core(transport);
  if (core.was_left_open()) {
    if (!protocol->peer_ended()) warn_of_closed_loop(core);
    return;
  }
  if (transport.is_closing()) return;
  try {
    transport.close();
  } catch (...) {
    // The loop is gone, and the connection with it.
  }
  if (protocol->peer_ended()) return;
  fibers::detail::log_quietly(fibers::LogLevel::kWarning, [] {
    return std::string("unclosed StreamWriter: its connection has been closed; call close()");
  });
}

Coro<void> StreamWriterCore::drain(Ref<StreamWriterCore> core) {
  if (core->reader && core->reader->exception() != nullptr) {
    std::rethrow_exception(core->reader->exception());
  }
  // Whoever writes and drains in turns is to hear of the end, which comes as a callback.
  if (core->transport.is_closing()) co_await next_iteration(core->transport.get_loop());
  co_await core->protocol->flow().wait();
}

Coro<void> StreamWriterCore::wait_closed(Ref<StreamWriterCore> core) {
  co_await core->protocol->wait_closed();
}

Coro<void> StreamWriterCore::start_tls(Ref<StreamWriterCore> core, TransportLayer& layer,
                                       StartTLSOptions options, std::string hostname) {
  co_await drain(core);
  const auto protocol = std::dynamic_pointer_cast<StreamReaderProtocol>(core->protocol);
  if (protocol == nullptr) {
    throw fibers::UsageError(
        "start_tls() is for connections; what is written here goes to a child's stdin");
  }
  options.server_side = options.server_side || protocol->is_server();
  options.server_hostname = hostname;
  Coro<Transport> starting = loop::start_tls(core->transport, protocol, layer, options);
  core->transport = co_await std::move(starting);
  protocol->set_transport(core->transport);
}

}  // namespace detail

Coro<void> StreamWriter::drain() {
  return detail::StreamWriterCore::drain(core());
}

Coro<void> StreamWriter::start_tls(TransportLayer& layer, const StartTLSOptions& options) {
  return detail::StreamWriterCore::start_tls(core(), layer, options,
                                             std::string(options.server_hostname));
}

Coro<void> StreamWriter::wait_closed() {
  return detail::StreamWriterCore::wait_closed(core());
}

}  // namespace weft::loop
