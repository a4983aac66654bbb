// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// TLS between a connection and a protocol: the transport that the protocol sees, over the session
// of fibers/tls, which never waits. (asyncio: sslproto.SSLProtocol, which is written down there as
// a machine with the same states.)

#pragma once

#include <any>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "fibers/tls/session/tls_session.h"
#include "weft/loop/detail/loop_object.h"
#include "weft/loop/detail/protocol_holder.h"
#include "weft/loop/detail/transport_core.h"
#include "weft/loop/future.h"
#include "weft/loop/handle.h"
#include "weft/loop/transport.h"
#include "weft/loop/transport_layer.h"
#include "weft/tls/ssl_context.h"

namespace weft::loop::detail {

class SslConnection final : public TransportCore {
 public:
  SslConnection(LoopCore& loop, const fibers::SSLContext& context, LayerRequest request);

  // --- What the connection below tells, by SslProtocol. ---
  void connection_made(Transport below);
  void connection_lost(std::exception_ptr error);
  void data_received(std::string_view data);
  bool eof_received();
  void pause_below() noexcept { below_full_ = true; }
  void resume_below();

  // --- What the protocol above asks for. ---
  const char* kind() const noexcept override { return "TLS transport"; }
  void close() override;
  bool is_closing() const override { return closing_; }
  void force_close(std::exception_ptr error) override;
  std::any extra_info(std::string_view name) const override;
  void set_protocol(std::shared_ptr<BaseProtocol> protocol) override;
  std::shared_ptr<BaseProtocol> protocol() const override { return app_.shared(); }
  void pause_reading() override;
  void resume_reading() override;
  bool is_reading() const override { return !app_paused_ && !closing_; }
  void write(std::string_view data) override;
  void writelines(std::span<const std::string_view> pieces) override;
  void set_write_buffer_limits(std::optional<std::size_t> high,
                               std::optional<std::size_t> low) override;
  std::pair<std::size_t, std::size_t> write_buffer_limits() const override {
    return flow_.limits();
  }
  std::size_t write_buffer_size() const override {
    return session_.pending_output() + backlog_.size();
  }
  std::size_t unsent() const noexcept override;
  bool start_tls_compatible() const override { return true; }
  SendfileMode sendfile_mode() const override { return SendfileMode::kFallback; }
  bool writing_paused() const override { return flow_.paused(); }

 private:
  // In this order, but that any may end in kUnwrapped.
  enum class State : std::uint8_t {
    kUnwrapped,  // Not begun, or over.
    kHandshake,
    kWrapped,
    kFlushing,  // Both directions end: what has come is still given out.
    kShutdown,  // This side says goodbye, and waits for the peer's.
  };

  // Goes as far as it can with what there is. One at a time: what happens while the protocol above
  // waits in a call is seen to when that returns.
  void pump();
  void step();
  void shake_hands();
  void hands_shaken();
  void read();
  bool may_read() const;
  bool may_end() const;
  fibers::detail::Step read_once(std::size_t& count);
  void say_goodbye();
  void drop_input();
  void shut_down();
  void start_shutdown();
  void tell_eof();

  bool encrypt(std::string_view data);
  void send_backlog();
  void flush();
  void control_writing();
  void control_reading();
  void conclude_write();
  bool refuses_write();

  void check_handshake_timeout();
  void check_shutdown_timeout();
  void cancel_timers() noexcept;
  void fail_handshake(const std::exception_ptr& error);
  void fatal_error(const std::exception_ptr& error, const char* message);
  void wake_waiter(const std::exception_ptr& error) noexcept;
  void tell_lost();
  bool is_known() const noexcept override { return told_made_; }
  void loop_closed() noexcept override;

  const fibers::SSLContext context_;
  fibers::detail::TlsSession session_;
  const std::string hostname_;
  const fibers::Duration handshake_timeout_;
  const fibers::Duration shutdown_timeout_;
  StreamProtocol app_;
  FlowControl flow_;
  Transport below_;  // From connection_made() to connection_lost().
  Future<void> waiter_;
  TimerHandle handshake_timer_;
  TimerHandle shutdown_timer_;
  OwnedCallback resume_turn_;
  OwnedCallback lost_turn_;
  std::exception_ptr lost_by_;
  std::string backlog_;  // Written while hands are being shaken, for the first time or again.
  std::size_t ignored_writes_ = 0;
  State state_ = State::kUnwrapped;
  bool told_made_;             // The protocol above knows of the connection.
  bool told_eof_ = false;      // And of its end.
  bool closing_ = false;       // The protocol above, or the connection, has ended.
  bool dropping_ = false;      // close(): what comes is not for the protocol any more.
  bool app_paused_ = false;    // By pause_reading().
  bool below_paused_ = false;  // Reading there: too much has come that nobody has read.
  bool below_full_ = false;    // Writing there.
  bool eof_ = false;           // The connection has ended below.
  bool peer_goodbye_ = false;
  bool said_goodbye_ = false;
  bool shut_ = false;  // Everything has been said.
  bool pumping_ = false;
  bool pump_again_ = false;
  bool shaken_ = false;
};

}  // namespace weft::loop::detail
