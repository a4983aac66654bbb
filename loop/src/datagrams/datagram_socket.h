// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A datagram socket as a transport. (asyncio: _SelectorDatagramTransport.)

#pragma once

#include <any>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "loop/src/datagrams/datagram_queue.h"
#include "loop/src/transports/closing.h"
#include "loop/src/transports/unique_fd.h"
#include "weft/fibers/fd_watch.h"
#include "weft/fibers/owned_fd.h"
#include "weft/fibers/socket_address.h"
#include "weft/loop/detail/datagram_core.h"
#include "weft/loop/detail/protocol_holder.h"
#include "weft/loop/future.h"
#include "weft/loop/handle.h"

namespace weft::loop::detail {

struct DatagramGiven {
  UniqueFd fd;  // Non-blocking.
  std::shared_ptr<BaseProtocol> protocol;
  // The only address to send to, if there is one.
  fibers::SocketAddress remote = {};
  // Ended when connection_made() has returned.
  Future<void> waiter = {};
};

class DatagramSocket final : public DatagramCore {
 public:
  // Returns the one reference of the caller. Throws std::system_error, UsageError.
  static DatagramSocket* make(LoopCore& loop, DatagramGiven given);

  const char* kind() const noexcept override { return "DatagramTransport"; }
  void close() override;
  bool is_closing() const override { return closing_.begun(); }
  void force_close(std::exception_ptr error) override;
  std::any extra_info(std::string_view name) const override;
  void set_protocol(std::shared_ptr<BaseProtocol> protocol) override;
  std::shared_ptr<BaseProtocol> protocol() const override { return holder_.shared(); }

  void sendto(std::string_view data, const fibers::SocketAddress* to) override;
  void set_write_buffer_limits(std::optional<std::size_t> high,
                               std::optional<std::size_t> low) override;
  std::pair<std::size_t, std::size_t> write_buffer_limits() const override {
    return flow_.limits();
  }
  std::size_t write_buffer_size() const override { return queue_.size(); }
  std::size_t unsent() const noexcept override { return queue_.size(); }

 private:
  DatagramSocket(LoopCore& loop, DatagramGiven& given);
  ~DatagramSocket() override = default;
  void open(UniqueFd fd);
  bool is_known() const noexcept override { return made_; }
  void loop_closed() noexcept override;

  // The turns of the three callbacks.
  void read_ready();
  void write_ready();
  void lose();

  void begin();
  void receive();
  // 0, EAGAIN or another errno.
  int send(std::string_view data, const fibers::SocketAddress* to);
  // Whether all of it is gone. If not, another turn will come.
  bool flush();
  void wait_for_room() noexcept;
  void stop_waiting_for_room() noexcept;
  void tell_error(int error, const char* call_name);
  void fatal_error(std::exception_ptr error);
  void stop_reading() noexcept { read_watch_.disarm(); }
  void finish() noexcept;

  fibers::OwnedFd fd_;
  fibers::FdWatch read_watch_;
  fibers::FdWatch write_watch_;
  OwnedCallback reading_{*this, OwnedCallback::kTurn<&DatagramSocket::read_ready>};
  OwnedCallback writing_{*this, OwnedCallback::kTurn<&DatagramSocket::write_ready>};
  Closing closing_{*this, OwnedCallback::kTurn<&DatagramSocket::lose>};
  ProtocolHolder holder_;
  DatagramProtocol* protocol_ = nullptr;  // The one in holder_.
  FlowControl flow_;
  DatagramQueue queue_;
  TimerHandle retry_;
  Future<void> waiter_;
  fibers::SocketAddress remote_;
  fibers::SocketAddress peer_;  // What the socket is connected to.
  bool unix_ = false;
  bool made_ = false;  // connection_made() has been called.
};

}  // namespace weft::loop::detail
