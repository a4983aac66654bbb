// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/stream_protocol.h"

#include <utility>

#include "weft/loop/detail/stream_access.h"

namespace weft::loop {

namespace {

// How the task of a server's connection has ended.
void conclude(const FutureBase& task, Transport transport) {
  if (!task.cancelled()) {
    const std::exception_ptr error = task.exception();
    if (error == nullptr) return;
    transport.get_loop().call_exception_handler(
        {.message = "Unhandled exception in client_connected_cb",
         .exception = error,
         .transport = &TransportAccess::core(transport)});
  }
  transport.close();
}

}  // namespace

StreamReaderProtocol::StreamReaderProtocol(EventLoop& loop, StreamReader reader,
                                           ClientConnected client_connected)
    : WriterSide(loop),
      reader_(std::move(reader)),
      client_connected_(std::move(client_connected)) {}

void StreamReaderProtocol::set_transport(const Transport& transport) {
  StreamAccess::core(reader_)->replace_transport(transport);
  over_layer_ = TransportAccess::core(transport).extra_info("sslcontext").has_value();
}

void StreamReaderProtocol::connection_made(Transport transport) {
  set_transport(transport);
  if (client_connected_) serve(std::move(transport));
}

// If there is nobody to serve it, the peer is not to wait.
void StreamReaderProtocol::serve(Transport transport) {
  try {
    TaskBase task =
        client_connected_.begin(transport.get_loop(), reader_,
                                StreamAccess::wrap(detail::make_counted<detail::StreamWriterCore>(
                                    transport, shared_from_this(), StreamAccess::core(reader_))));
    task.add_done_callback([transport](const FutureBase& done) { conclude(done, transport); });
  } catch (const std::exception&) {
    transport.abort();
    throw;
  }
}

void StreamReaderProtocol::connection_lost(std::exception_ptr error) {
  detail::StreamReaderCore& reader = *StreamAccess::core(reader_);
  reader.replace_transport({});
  if (error == nullptr) {
    reader.feed_eof();
  } else {
    reader.set_exception(error);
  }
  closed(std::move(error));
}

std::span<std::byte> StreamReaderProtocol::get_buffer(std::size_t) {
  return StreamAccess::core(reader_)->get_buffer();
}

void StreamReaderProtocol::buffer_updated(std::size_t count) {
  StreamAccess::core(reader_)->buffer_updated(count);
}

bool StreamReaderProtocol::eof_received() {
  reader_.feed_eof();
  return !over_layer_;
}

}  // namespace weft::loop
