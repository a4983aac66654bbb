// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/tls/src/ssl_connection.h"

#include <cerrno>
#include <chrono>
#include <new>
#include <system_error>
#include <utility>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::detail {

using fibers::detail::Step;

namespace {

constexpr std::size_t kHighWater = std::size_t{512} << 10;  // asyncio's, of TLS alone.

// std::bad_alloc, if there is no memory for it: whoever waits is to hear of something.
std::exception_ptr lost(int error, const char* why) noexcept {
  try {
    return std::make_exception_ptr(std::system_error(error, std::generic_category(), why));
  } catch (const std::bad_alloc&) {
    return std::current_exception();
  }
}

}  // namespace

SslConnection::SslConnection(LoopCore& loop, const fibers::SSLContext& context,
                             LayerRequest request)
    : TransportCore(loop),
      context_(context),
      session_(*context.native_handle(), request.server_side, request.server_hostname,
               context.check_hostname()),
      hostname_(std::move(request.server_hostname)),
      handshake_timeout_(request.handshake_timeout.value_or(std::chrono::seconds(60))),
      shutdown_timeout_(request.shutdown_timeout.value_or(std::chrono::seconds(30))),
      waiter_(std::move(request.waiter)),
      resume_turn_(*this, OwnedCallback::kTurn<&SslConnection::pump>),
      lost_turn_(*this, OwnedCallback::kTurn<&SslConnection::tell_lost>),
      told_made_(!request.call_connection_made) {
  app_.set(std::move(request.protocol));
  flow_.set_limits(kHighWater, std::nullopt);
}

// --- The connection below. ---

void SslConnection::connection_made(Transport below) {
  below_ = std::move(below);
  TransportAccess::core(below_).belong_to_another();
  keep_open();
  if (closing_) return below_.abort();
  state_ = State::kHandshake;
  try {
    handshake_timer_ =
        event_loop().call_later(handshake_timeout_, [this] { check_handshake_timeout(); });
    pump();
  } catch (const std::exception&) {
    fail_handshake(std::current_exception());
  }
}

// The session reads what has come where it lies. Only what is left then is copied.
void SslConnection::data_received(std::string_view data) {
  if (pumping_) {
    session_.feed(std::string(data));
    pump_again_ = true;
    return control_reading();
  }
  session_.lend(data);
  try {
    pump();
  } catch (...) {
    session_.lend({});
    throw;
  }
  if (state_ == State::kUnwrapped) session_.lend({});
  session_.take_back();
  control_reading();
}

// Without a goodbye, or after it. True: what is left to be read is given out first.
bool SslConnection::eof_received() {
  eof_ = true;
  if (state_ == State::kHandshake) {
    fail_handshake(lost(ECONNRESET, "the peer closed the connection during the SSL handshake"));
  }
  if (state_ == State::kWrapped) state_ = State::kFlushing;
  pump();
  return state_ != State::kUnwrapped;
}

void SslConnection::connection_lost(std::exception_ptr error) {
  const Transport self = TransportAccess::share(*this);
  cancel_timers();
  backlog_.clear();
  closing_ = true;
  state_ = State::kUnwrapped;
  if (told_made_ && app_.get() != nullptr) {
    lost_by_ = error;
    lost_turn_.schedule();  // The loop holds this until then.
  } else {
    app_.drop();
    let_go();
  }
  if (error == nullptr) {
    error = lost(ECONNABORTED, "the connection was closed before the SSL handshake was complete");
  }
  wake_waiter(error);
  below_ = {};
}

// Also what the connection below has taken, which nobody else tells of.
std::size_t SslConnection::unsent() const noexcept {
  return write_buffer_size() + (below_ ? TransportAccess::core(below_).unsent() : 0);
}

void SslConnection::loop_closed() noexcept {
  cancel_timers();
  state_ = State::kUnwrapped;
  closing_ = true;
  app_.drop();
  below_ = {};
}

// --- The machine. ---

void SslConnection::pump() {
  if (pumping_) {
    pump_again_ = true;
    return;
  }
  const Transport self = TransportAccess::share(*this);
  struct Pumping {
    bool& flag;
    ~Pumping() { flag = false; }
  };
  pumping_ = true;
  const Pumping pumping{pumping_};
  do {
    pump_again_ = false;
    step();
  } while (pump_again_);
}

void SslConnection::step() {
  if (state_ == State::kHandshake) shake_hands();
  if (state_ == State::kWrapped || state_ == State::kFlushing) read();
  if (state_ == State::kFlushing && (dropping_ || !app_paused_) && may_end()) {
    closing_ = true;
    state_ = State::kShutdown;
  }
  if (state_ == State::kShutdown) say_goodbye();
  control_reading();
}

void SslConnection::shake_hands() {
  Step shaken = Step::kWantRead;
  try {
    shaken = session_.handshake();
  } catch (const std::exception&) {
    return fail_handshake(std::current_exception());
  }
  flush();
  if (shaken == Step::kDone && state_ == State::kHandshake) hands_shaken();
}

void SslConnection::hands_shaken() {
  cancel_timers();
  state_ = State::kWrapped;
  shaken_ = true;
  if (!std::exchange(told_made_, true)) {
    const ProtocolHolder::Call call(app_.holder());
    try {
      app_.connection_made(TransportAccess::share(*this));
    } catch (const fibers::Cancelled&) {
      throw;
    } catch (const fibers::KeyboardInterrupt&) {
      throw;
    } catch (...) {
      fatal_error(std::current_exception(), "protocol.connection_made() failed");
    }
  }
  wake_waiter(nullptr);
  send_backlog();
}

// Whether nothing waits for the end of another handshake; a peer that has gone does not end it.
bool SslConnection::may_end() const {
  return backlog_.empty() || eof_ || peer_goodbye_;
}

bool SslConnection::may_read() const {
  return (state_ == State::kWrapped || state_ == State::kFlushing) && !app_paused_ && !dropping_ &&
         app_.get() != nullptr;
}

void SslConnection::read() {
  try {
    while (may_read() && session_.readable()) {
      std::size_t count = 0;
      if (read_once(count) == Step::kWantRead) break;
      if (count > 0) continue;
      peer_goodbye_ = true;
      tell_eof();
      start_shutdown();
      break;
    }
    // It is reading that goes on with another handshake.
    if (dropping_ && !backlog_.empty()) drop_input();
  } catch (const fibers::Cancelled&) {
    throw;
  } catch (const fibers::KeyboardInterrupt&) {
    throw;
  } catch (...) {
    fatal_error(std::current_exception(), "Fatal error on SSL protocol");
  }
  flush();
  send_backlog();
}

// Into the protocol's own memory, if it has some.
Step SslConnection::read_once(std::size_t& count) {
  const ProtocolHolder::Call call(app_.holder());
  if (BufferedProtocol* const buffered = app_.buffered()) {
    const std::span<std::byte> room = buffered->get_buffer(session_.pending_input());
    if (room.empty()) throw fibers::UsageError("get_buffer() returned an empty buffer");
    const Step step = session_.read(room, count);
    if (count > 0) buffered->buffer_updated(count);
    return step;
  }
  const ReadBuffer buffer(loop());
  const Step step =
      session_.read(std::as_writable_bytes(std::span(buffer.data(), kReadBufferSize)), count);
  if (count > 0) app_.plain()->data_received({buffer.data(), count});
  return step;
}

// A peer that has ended its connection does not listen any more.
void SslConnection::say_goodbye() {
  if (shut_) return;
  try {
    if (!eof_ && !std::exchange(said_goodbye_, true)) session_.say_goodbye();
    flush();
    if (!eof_ && !peer_goodbye_) drop_input();
  } catch (const fibers::SSLError&) {
    return fatal_error(std::current_exception(), "Fatal error on SSL protocol");
  }
  if (eof_ || peer_goodbye_) shut_down();
}

void SslConnection::drop_input() {
  const ReadBuffer buffer(loop());
  const auto room = std::as_writable_bytes(std::span(buffer.data(), kReadBufferSize));
  while (session_.readable()) {
    std::size_t count = 0;
    if (session_.read(room, count) == Step::kWantRead) return;
    if (count > 0) continue;
    peer_goodbye_ = true;
    return;
  }
}

void SslConnection::shut_down() {
  shut_ = true;
  tell_eof();
  if (below_) below_.close();
}

void SslConnection::start_shutdown() {
  if (state_ == State::kHandshake) return force_close(nullptr);
  if (state_ != State::kWrapped) return;
  closing_ = true;
  state_ = State::kFlushing;
  shutdown_timer_ =
      event_loop().call_later(shutdown_timeout_, [this] { check_shutdown_timeout(); });
}

}  // namespace weft::loop::detail
