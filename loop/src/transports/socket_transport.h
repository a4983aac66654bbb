// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A connected socket as a transport. (asyncio: _SelectorSocketTransport.)

#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "loop/src/transports/closing.h"
#include "loop/src/transports/unique_fd.h"
#include "loop/src/transports/write_buffer.h"
#include "weft/fibers/fd_watch.h"
#include "weft/fibers/owned_fd.h"
#include "weft/fibers/socket_address.h"
#include "weft/loop/detail/protocol_holder.h"
#include "weft/loop/detail/transport_core.h"
#include "weft/loop/future.h"

namespace weft::loop::detail {

class SocketTransport;

// What keeps the connections that it has accepted: a server. It lives from the first to the second.
class ConnectionOwner {
 public:
  virtual void attach(SocketTransport& transport) noexcept = 0;
  virtual void detach(SocketTransport& transport) noexcept = 0;

 protected:
  ~ConnectionOwner() = default;
};

struct SocketGiven {
  UniqueFd fd;  // Connected and non-blocking.
  std::shared_ptr<BaseProtocol> protocol;
  // Ended when connection_made() has returned. Null if nobody waits.
  Future<void> waiter = {};
  ConnectionOwner* owner = nullptr;
  fibers::SocketAddress peer = {};
  // Its reads may be taken to be short at the end only, and TCP_NODELAY is set.
  bool tuned_tcp = false;
};

class SocketTransport final : public TransportCore {
 public:
  // Returns the one reference of the caller. Throws std::system_error, UsageError.
  static SocketTransport* make(LoopCore& loop, SocketGiven given);

  const char* kind() const noexcept override { return "SocketTransport"; }
  void close() override;
  bool is_closing() const override { return closing_.begun(); }
  void force_close(std::exception_ptr error) override;
  std::any extra_info(std::string_view name) const override;
  void set_protocol(std::shared_ptr<BaseProtocol> protocol) override;
  std::shared_ptr<BaseProtocol> protocol() const override { return protocol_.shared(); }

  void pause_reading() override;
  void resume_reading() override;
  bool is_reading() const override { return !closing_.begun() && !paused_; }

  void write(std::string_view data) override;
  void writelines(std::span<const std::string_view> pieces) override;
  void write_eof() override;
  bool can_write_eof() const override { return true; }
  void set_write_buffer_limits(std::optional<std::size_t> high,
                               std::optional<std::size_t> low) override;
  std::pair<std::size_t, std::size_t> write_buffer_limits() const override {
    return flow_.limits();
  }
  std::size_t write_buffer_size() const override { return buffer_.size(); }
  bool start_tls_compatible() const override { return true; }
  SendfileMode sendfile_mode() const override { return SendfileMode::kTryNative; }
  bool writing_paused() const override { return flow_.paused(); }
  std::size_t unsent() const noexcept override { return buffer_.size(); }

  // --- For sendfile(): socket_sendfile.cc. ---

  // Refuses writes from now on. Returns what ends when the buffer is empty, or the connection lost.
  Future<void> begin_sendfile();
  void end_sendfile();
  // The socket; throws std::system_error if the connection is lost.
  int fd_to_send_by() const;
  Future<void> wait_for_room();

  // In its owner's list.
  SocketTransport* next_of_owner = nullptr;
  SocketTransport** at_of_owner = nullptr;

 private:
  enum class Sent : std::uint8_t { kAll, kPart, kFailed };

  SocketTransport(LoopCore& loop, SocketGiven& given);
  ~SocketTransport() override = default;
  void open(UniqueFd fd, bool tuned_tcp);
  bool is_known() const noexcept override { return made_; }
  void loop_closed() noexcept override;

  // The turns of the three callbacks.
  void read_ready();
  void write_ready();
  void lose();

  void begin();
  void read();
  void read_buffered();
  // What recv() has returned, into room for `size` bytes. True if that is data.
  bool took(ssize_t count, std::size_t size);
  void read_eof();
  template <class F>
  bool call_protocol(const char* failed, F&& fn);

  void need_writable(const char* call) const;
  Sent send(std::span<const std::string_view> pieces, std::size_t& sent);
  Sent failed_to_send();
  void writelines_rest(std::span<const std::string_view> pieces, std::size_t sent);
  Sent flush();
  void watch_writing();
  void shut_down();
  void wake_file_waiter(const std::exception_ptr& error);
  void fail_sendfile();
  void stop_reading() noexcept;
  void fatal_error(std::exception_ptr error, const char* message);
  void finish() noexcept;

  fibers::OwnedFd fd_;
  fibers::FdWatch read_watch_;
  fibers::FdWatch write_watch_;
  OwnedCallback reading_{*this, OwnedCallback::kTurn<&SocketTransport::read_ready>};
  OwnedCallback writing_{*this, OwnedCallback::kTurn<&SocketTransport::write_ready>};
  Closing closing_{*this, OwnedCallback::kTurn<&SocketTransport::lose>};
  StreamProtocol protocol_;
  FlowControl flow_;
  WriteBuffer buffer_;
  Future<void> waiter_;
  Future<void> file_waiter_;  // Of a sendfile(): for an empty buffer, then for room.
  ConnectionOwner* owner_;
  fibers::SocketAddress peer_;
  bool is_tcp_ = false;
  bool made_ = false;     // connection_made() has been called.
  bool readable_ = true;  // There may be something to read.
  bool paused_ = false;
  bool read_ended_ = false;  // eof_received() has been called.
  bool wrote_eof_ = false;
  bool sending_file_ = false;  // From begin_sendfile() to end_sendfile().
};

}  // namespace weft::loop::detail
