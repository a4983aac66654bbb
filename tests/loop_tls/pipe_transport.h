// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Two transports that are each other's peers, in memory: TLS is tested without a network, under the
// virtual clock.

#pragma once

#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "weft/loop/detail/protocol_holder.h"
#include "weft/loop/detail/transport_core.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/protocol.h"
#include "weft/loop/transport.h"

namespace weft::loop::testing {

class PipeEnd final : public detail::TransportCore {
 public:
  explicit PipeEnd(detail::LoopCore& loop)
      : TransportCore(loop),
        receive_(*this, detail::OwnedCallback::kTurn<&PipeEnd::receive>),
        lose_(*this, detail::OwnedCallback::kTurn<&PipeEnd::lose>) {}

  void connect(PipeEnd& peer, std::shared_ptr<BaseProtocol> protocol) {
    peer_ = TransportAccess::share(peer);
    app_.set(std::move(protocol));
    keep_open();
  }
  // The protocol is told.
  void begin() {
    const detail::ProtocolHolder::Call call(app_.holder());
    tell("connection_made", [this] { app_.connection_made(TransportAccess::share(*this)); });
  }
  // Nothing arrives at the peer while it is held up.
  void hold_up(bool held) {
    held_ = held;
    if (!held) receive_.schedule();
  }

  const char* kind() const noexcept override { return "PipeEnd"; }
  void close() override { end(nullptr); }
  bool is_closing() const override { return closing_; }
  void force_close(std::exception_ptr error) override {
    inbox_.clear();
    end(std::move(error));
  }
  void set_protocol(std::shared_ptr<BaseProtocol> protocol) override {
    app_.set(std::move(protocol));
  }
  std::shared_ptr<BaseProtocol> protocol() const override { return app_.shared(); }
  void pause_reading() override { paused_ = true; }
  void resume_reading() override {
    paused_ = false;
    receive_.schedule();
  }
  bool is_reading() const override { return !paused_; }
  void write(std::string_view data) override {
    if (closing_) return;
    written += data.size();
    peer().inbox_ += data;
    peer().receive_.schedule();
    flow_.maybe_pause(*this, app_.holder(), write_buffer_size());
  }
  std::size_t write_buffer_size() const override { return peer_ ? peer().inbox_.size() : 0; }
  bool start_tls_compatible() const override { return compatible; }

  std::size_t written = 0;
  bool compatible = true;

 private:
  PipeEnd& peer() const { return static_cast<PipeEnd&>(TransportAccess::core(peer_)); }
  void end(std::exception_ptr error) {
    if (std::exchange(closing_, true)) return;
    error_ = std::move(error);
    if (peer_) {
      peer().ended_ = true;
      peer().receive_.schedule();
    }
    lose_.schedule();
  }
  void receive() {
    const detail::ProtocolHolder::Call call(app_.holder());
    while (!held_ && !paused_ && !closing_ && !inbox_.empty()) {
      tell("data_received", [this] { deliver(std::exchange(inbox_, {})); });
      if (peer_) peer().flow_.maybe_resume(peer(), peer().app_.holder(), inbox_.size());
    }
    if (held_ || paused_ || closing_ || !ended_ || std::exchange(told_eof_, true)) return;
    bool keep_open = false;
    tell("eof_received", [&] { keep_open = app_.eof_received(); });
    if (!keep_open) close();
  }
  // What the protocol throws ends the connection.
  template <class F>
  void tell(const char* what, F call) {
    try {
      call();
    } catch (const std::exception&) {
      detail::report(loop(), {.message = what, .exception = std::current_exception()});
      force_close(std::current_exception());
    }
  }
  void deliver(const std::string& data) {
    if (Protocol* const plain = app_.plain()) return plain->data_received(data);
    for (std::string_view rest = data; !rest.empty();) {
      const auto room = app_.buffered()->get_buffer(rest.size());
      const std::size_t count = std::min(room.size(), rest.size());
      std::memcpy(room.data(), rest.data(), count);
      rest.remove_prefix(count);
      app_.buffered()->buffer_updated(count);
    }
  }
  void lose() {
    if (BaseProtocol* const told = app_.get()) {
      const detail::ProtocolHolder::Call call(app_.holder());
      tell("connection_lost", [&] { told->connection_lost(error_); });
    }
    loop_closed();
    let_go();
  }
  void loop_closed() noexcept override {
    app_.drop();
    peer_ = {};
  }

  detail::StreamProtocol app_;
  detail::FlowControl flow_;
  Transport peer_;
  detail::OwnedCallback receive_;
  detail::OwnedCallback lose_;
  std::string inbox_;
  std::exception_ptr error_;
  bool held_ = false;
  bool paused_ = false;
  bool closing_ = false;
  bool ended_ = false;  // The peer has.
  bool told_eof_ = false;
};

// Both ends; the second has begun when the first is told.
struct Wire {
  Wire(EventLoop& loop, std::shared_ptr<BaseProtocol> first, std::shared_ptr<BaseProtocol> second)
      : a(make(loop)), b(make(loop)) {
    end_a().connect(end_b(), std::move(first));
    end_b().connect(end_a(), std::move(second));
    loop.call_soon([end = b] { static_cast<PipeEnd&>(TransportAccess::core(end)).begin(); });
    loop.call_soon([end = a] { static_cast<PipeEnd&>(TransportAccess::core(end)).begin(); });
  }
  PipeEnd& end_a() const { return static_cast<PipeEnd&>(TransportAccess::core(a)); }
  PipeEnd& end_b() const { return static_cast<PipeEnd&>(TransportAccess::core(b)); }

  Transport a;
  Transport b;

 private:
  static Transport make(EventLoop& loop) {
    auto* const end = new PipeEnd(FutureAccess::core(loop.create_future<void>()).loop());
    Transport transport = TransportAccess::share(*end);
    end->release();
    return transport;
  }
};

}  // namespace weft::loop::testing
