// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Between a transport and a StreamReader: for connections that open_connection() and start_server()
// do not make.
//
//   StreamReader reader(loop);
//   auto made = co_await loop.connect_read_pipe(
//       [&] { return std::make_shared<StreamReaderProtocol>(loop, reader); }, pipe);
//
// (asyncio.StreamReaderProtocol.)

#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include "weft/loop/detail/writer_side.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/protocol.h"
#include "weft/loop/stream_reader.h"
#include "weft/loop/stream_writer.h"
#include "weft/loop/task.h"

namespace weft::loop {

// What a server does with a connection, as a task: of a coroutine, or of a function that has a
// stack. Anything that can be called with a StreamReader and a StreamWriter becomes one.
class ClientConnected {
 public:
  ClientConnected() = default;
  template <class F>
  requires(!std::is_same_v<std::decay_t<F>, ClientConnected> &&
           std::is_invocable_v<std::decay_t<F>&, StreamReader, StreamWriter>)
      ClientConnected(F fn)  // NOLINT(google-explicit-constructor): it is called in its place.
      : start_([fn = std::move(fn)](EventLoop& loop, StreamReader reader, StreamWriter writer) {
          return TaskBase(loop.create_task(
              [fn, reader = std::move(reader), writer = std::move(writer)]() mutable {
                return fn(std::move(reader), std::move(writer));
              },
              {.eager_start = true}));
        }) {}
  explicit operator bool() const { return start_ != nullptr; }
  // The task, which has taken its first step.
  TaskBase begin(EventLoop& loop, StreamReader reader, StreamWriter writer) const {
    return start_(loop, std::move(reader), std::move(writer));
  }

 private:
  std::function<TaskBase(EventLoop&, StreamReader, StreamWriter)> start_;
};

// Feeds a reader, whose memory the transport receives into. A resource, which its transport holds.
class StreamReaderProtocol : public BufferedProtocol,
                             public detail::WriterSide,
                             public std::enable_shared_from_this<StreamReaderProtocol> {
 public:
  // `client_connected` is called when the connection is made. What it throws goes to the exception
  // handler, and closes the connection, as its cancellation does.
  StreamReaderProtocol(EventLoop& loop, StreamReader reader, ClientConnected client_connected = {});

  void connection_made(Transport transport) override;
  void connection_lost(std::exception_ptr error) override;
  std::span<std::byte> get_buffer(std::size_t sizehint) override;
  void buffer_updated(std::size_t count) override;
  // True: the connection stays open for writing. TLS cannot do that.
  bool eof_received() override;
  void pause_writing() override { flow().pause_writing(); }
  void resume_writing() override { flow().resume_writing(); }

 private:
  friend struct StreamAccess;
  friend struct detail::StreamWriterCore;
  bool is_server() const { return client_connected_.operator bool(); }
  void set_transport(const Transport& transport);
  void serve(Transport transport);

  StreamReader reader_;
  ClientConnected client_connected_;
  bool over_layer_ = false;  // Such as TLS.
};

}  // namespace weft::loop
