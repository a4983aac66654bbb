// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The writing side of a connection.
//
//   writer.write("GET / HTTP/1.0\r\n\r\n");
//   co_await writer.drain();                 // waits while too much is waiting to be sent
//   writer.close();
//   co_await writer.wait_closed();
//
// open_connection() and start_server() make one. (asyncio.StreamWriter.)

#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/detail/empty.h"
#include "weft/loop/detail/stream_writer_core.h"
#include "weft/loop/start_tls.h"
#include "weft/loop/transport.h"

namespace weft::loop {

// A handle: copies are the same writer. When the last one goes and the connection is open, it is
// closed, and the log says so: close() it yourself.
class StreamWriter {
 public:
  // Sends `data`, or keeps what the system does not take at once, to send it later; drain() waits
  // if that has become too much. On a connection that is lost it does nothing.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void write(std::string_view data) { core()->transport.write(data); }
  // All pieces in their order, by one system call if that takes them.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void writelines(std::span<const std::string_view> pieces) {
    core()->transport.writelines(pieces);
  }
  // Waits until no more than the transport's low-water mark is waiting to be sent, if it is more
  // than the high one now. Throws what the connection has broken by; std::system_error, ECONNRESET,
  // if it is closed. Several tasks may wait.
  //
  // Blocks: whoever awaits it, while too much is waiting; when closing, for one iteration.
  // Cancel: at once; what was written is sent.
  // Threads: the loop's own only.
  Coro<void> drain();

  // The peer sees the end after what has been written; reading goes on. TLS cannot do that.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void write_eof() { core()->transport.write_eof(); }
  bool can_write_eof() const { return core()->transport.can_write_eof(); }

  // Sends what has been written, then closes. Idempotent.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void close() { core()->transport.close(); }
  // Whether it is closed, or being closed.
  bool is_closing() const { return core()->transport.is_closing(); }
  // Waits until the connection is closed. Throws what it has broken by.
  //
  // Blocks: whoever awaits it, until then.
  // Cancel: at once.
  // Threads: the loop's own only.
  Coro<void> wait_closed();

  // Puts TLS on the connection, after drain(): for protocols with a STARTTLS. On the server's side,
  // which has been called by start_server() or the like, the layer is the server's. What the peer
  // has sent before has to have been read. Throws as start_tls() of start_tls.h does.
  //
  // Blocks: whoever awaits it, until hands have been shaken.
  // Cancel: the connection is closed.
  // Threads: the loop's own only.
  Coro<void> start_tls(TransportLayer& layer, const StartTLSOptions& options = {});

  // What there is under `key`, or nothing: see extra_info.h.
  template <class T>
  std::optional<T> get_extra_info(const ExtraInfo<T>& key) const {
    return core()->transport.get_extra_info(key);
  }
  // The connection below. After start_tls() that of TLS.
  const Transport& transport() const { return core()->transport; }

 private:
  friend struct StreamAccess;
  explicit StreamWriter(detail::Ref<detail::StreamWriterCore> core) noexcept
      : core_(std::move(core)) {}
  const detail::Ref<detail::StreamWriterCore>& core() const {
    if (!core_) detail::throw_moved_from("StreamWriter");
    return core_;
  }
  detail::Ref<detail::StreamWriterCore> core_;
};

}  // namespace weft::loop
