// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of EventLoop that sends files, without a copy in this process where the system can.
// (asyncio: BaseEventLoop.sendfile, sock_sendfile.)
//
//   transport.write(header);
//   co_await loop.sendfile(transport, file);          // a descriptor, from its beginning to its
//   end
//
// A file is a descriptor that stays its owner's, or a SendfileSource. Where sendfile(2) does not do
// it, as over TLS, the file is read by the default executor and written piece by piece.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "weft/loop/coro.h"
#include "weft/loop/loop_datagrams.h"
#include "weft/loop/transport.h"

namespace weft::loop {

struct SendfileOptions {
  // From where on, in bytes.
  std::int64_t offset = 0;
  // How many bytes. Left out: to the end of the file.
  std::optional<std::int64_t> count = std::nullopt;
  // False: SendfileNotAvailableError where the file would have to be read and written.
  bool fallback = true;
};

// What is sent, if it is no descriptor.
class SendfileSource {
 public:
  SendfileSource() = default;
  SendfileSource(const SendfileSource&) = delete;
  SendfileSource& operator=(const SendfileSource&) = delete;
  virtual ~SendfileSource() = default;

  // What sendfile(2) can read from; -1 if there is no such descriptor.
  virtual int fileno() { return -1; }
  // What stands at `offset`, as much as fits; 0 at the end. One call after the other, with growing
  // offsets. May throw.
  //
  // Blocks: the thread that calls it.
  // Cancel: not a checkpoint; a call that has begun is not waited for.
  // Threads: one of the default executor's.
  virtual std::size_t read(std::int64_t offset, std::span<std::byte> buffer) = 0;
  // Where the last byte that has been sent ends. Called once, at the end, if there is one.
  virtual void set_position(std::int64_t) noexcept {}
};

class LoopSendfile : public LoopDatagrams {
 public:
  // Sends a file after what has been written to `transport`. Meanwhile nothing is read, and write()
  // throws UsageError. Returns how many bytes have been sent, or wait in the transport's buffer.
  // The file's position is after them in the end, also if it fails. Throws UsageError if the
  // transport is closing or does not send files, SendfileNotAvailableError, std::system_error: the
  // file's, what the connection breaks by, or ECONNRESET if it is closed meanwhile.
  //
  // Blocks: whoever awaits it.
  // Cancel: at once; the position says how much has been sent. A read of the file may go on in its
  // thread.
  // Threads: the loop's own only.
  Coro<std::size_t> sendfile(Transport transport, int file, SendfileOptions options = {});
  Coro<std::size_t> sendfile(Transport transport, std::shared_ptr<SendfileSource> file,
                             SendfileOptions options = {});
  // The same over a socket that stays its owner's: of streams, and non-blocking.
  //
  // Blocks: whoever awaits it.
  // Cancel: at once; the position says how much has been sent.
  // Threads: the loop's own only.
  Coro<std::size_t> sock_sendfile(int sock, int file, SendfileOptions options = {});
  Coro<std::size_t> sock_sendfile(int sock, std::shared_ptr<SendfileSource> file,
                                  SendfileOptions options = {});

 protected:
  using LoopDatagrams::LoopDatagrams;
};

}  // namespace weft::loop
