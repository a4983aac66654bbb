// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A file by a transport's write(). (asyncio: _SendfileFallbackProtocol.)

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "loop/src/sendfile/sending.h"
#include "weft/fibers/errors.h"
#include "weft/loop/detail/drain_core.h"
#include "weft/loop/detail/protocol_holder.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/protocol.h"

namespace weft::loop::detail {

namespace {

// In the place of the connection's own protocol, to hear when to pause. What it is told besides it
// passes on.
class SendfileProtocol final : public Protocol {
 public:
  SendfileProtocol(EventLoop& loop, std::shared_ptr<BaseProtocol> own, bool paused)
      : flow_(loop), was_paused_(paused) {
    own_.set(std::move(own));
    if (paused) flow_.pause_writing();
  }

  void data_received(std::string_view) override {
    throw fibers::UsageError("Invalid state: reading should be paused");
  }
  bool eof_received() override { return own_.eof_received(); }
  void pause_writing() override { flow_.pause_writing(); }
  void resume_writing() override { flow_.resume_writing(); }
  void connection_lost(std::exception_ptr error) override {
    flow_.connection_lost(error);
    const std::shared_ptr<BaseProtocol> own = own_.shared();
    own->connection_lost(std::move(error));
  }

  Coro<void> drain() { return flow_.wait(); }
  const std::shared_ptr<BaseProtocol>& own() const { return own_.shared(); }
  // What the own protocol has not heard meanwhile. (asyncio calls resume_writing() as soon as
  // writing was paused at the beginning.)
  void catch_up() {
    if (flow_.paused() == was_paused_) return;
    flow_.paused() ? own()->pause_writing() : own()->resume_writing();
  }

 private:
  StreamProtocol own_;
  DrainCore flow_;
  const bool was_paused_;
};

// Puts the protocol in its place, and takes it away again.
class InPlace {
 public:
  InPlace(EventLoop& loop, const Transport& transport)
      : transport_(transport), was_reading_(core().is_reading()) {
    protocol_ = std::make_shared<SendfileProtocol>(loop, transport_.get_protocol(),
                                                   core().writing_paused());
    transport_.pause_reading();
    transport_.set_protocol(protocol_);
  }
  InPlace(const InPlace&) = delete;
  InPlace& operator=(const InPlace&) = delete;
  // The connection may be lost by now, or somebody may have put another protocol there.
  ~InPlace() {
    if (transport_.get_protocol() != protocol_) return;
    try {
      transport_.set_protocol(protocol_->own());
      if (was_reading_) transport_.resume_reading();
      protocol_->catch_up();
    } catch (...) {
      report(core().loop(), {.message = "protocol.pause_writing() or resume_writing() failed",
                             .exception = std::current_exception(),
                             .transport = &core(),
                             .protocol = protocol_->own().get()});
    }
  }
  SendfileProtocol& protocol() { return *protocol_; }

 private:
  TransportCore& core() const { return TransportAccess::core(transport_); }

  Transport transport_;
  const bool was_reading_;
  std::shared_ptr<SendfileProtocol> protocol_;
};

void require_connected(const Transport& transport) {
  if (!transport.is_closing()) return;
  throw std::system_error(ECONNRESET, std::generic_category(), "Connection closed by peer");
}

}  // namespace

Coro<std::size_t> send_by_writing(EventLoop& loop, Transport transport,
                                  std::shared_ptr<SendfileSource> source, SendfileOptions options) {
  constexpr std::size_t kPiece = 16384;
  const std::shared_ptr<std::byte[]> buffer(new std::byte[kPiece]);
  Progress progress(*source, options);
  InPlace in_place(loop, transport);
  for (;;) {
    const std::size_t size = progress.next(kPiece);
    if (size == 0) break;
    const Future<std::size_t> reading = read_piece(loop, source, progress.position(), buffer, size);
    const std::size_t count = co_await reading;
    if (count == 0) break;
    require_connected(transport);
    co_await in_place.protocol().drain();
    require_connected(transport);
    transport.write(std::span<const std::byte>(buffer.get(), count));
    progress.add(count);
  }
  co_return progress.sent();
}

}  // namespace weft::loop::detail
