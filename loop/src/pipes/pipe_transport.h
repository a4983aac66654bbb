// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The transports of one end of a pipe.

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

#include "loop/src/transports/closing.h"
#include "weft/fibers/detail/child.h"
#include "weft/fibers/fd_watch.h"
#include "weft/fibers/owned_fd.h"
#include "weft/loop/detail/protocol_holder.h"
#include "weft/loop/detail/transport_core.h"
#include "weft/loop/future.h"

namespace weft::loop::detail {

// What both ends share. The descriptor is registered once, edge-triggered; an edge only schedules a
// turn, which tries until the system says that it would have to wait.
class PipeTransport : public TransportCore {
 public:
  // Takes `fd` over. Throws UsageError if it is no pipe, socket or character device, and if another
  // transport has it or the protocol is no stream's; std::system_error if it cannot be watched.
  PipeTransport(LoopCore& loop, fibers::detail::PlainFd fd, std::shared_ptr<BaseProtocol> protocol);

  // Calls connection_made() in the next iteration, then goes on. `made` ends after that; it may be
  // empty.
  void begin(Future<void> made);

  bool is_closing() const override { return closing_.begun(); }
  void force_close(std::exception_ptr error) override { close_with(std::move(error)); }
  std::any extra_info(std::string_view name) const override;
  void set_protocol(std::shared_ptr<BaseProtocol> protocol) override;
  std::shared_ptr<BaseProtocol> protocol() const override { return protocol_.shared(); }

 protected:
  ~PipeTransport() override;

  // What is done after connection_made().
  virtual void opened() = 0;
  // An edge, a turn that was asked for.
  virtual void ready() = 0;
  // Nothing is to be sent, and no edge to be told of any more.
  virtual void stop() noexcept { watch_.disarm(); }
  bool is_known() const noexcept override { return made_; }
  void loop_closed() noexcept override;

  int fd() const { return fd_.get(); }
  bool is_socket() const { return is_socket_; }
  bool is_device() const { return is_device_; }
  // Calls back at each edge from now on. What is ready already needs a turn of its own.
  void watch(fibers::FdWatch& watch, fibers::FdDirection direction, void (*told)(void*));
  static void on_edge(void* self) { static_cast<PipeTransport*>(self)->schedule(); }
  // No edge from now on, and connection_lost(error) in the next iteration. Once.
  void close_with(std::exception_ptr error);
  // The same, and the exception handler hears of it.
  void fatal_error(std::exception_ptr error, const char* message);
  void schedule() noexcept { turning_.schedule(); }

  StreamProtocol protocol_;
  fibers::FdWatch watch_;
  Closing closing_{*this, OwnedCallback::kTurn<&PipeTransport::finish>};
  bool at_eof_ = false;  // connection_lost() comes after eof_received().

 private:
  void turn();
  void make();
  void made();
  void finish();
  void tell_lost();
  void release_fd() noexcept;

  bool is_socket_ = false;
  bool is_device_ = false;
  bool made_ = false;
  Future<void> waiter_;
  fibers::OwnedFd fd_;
  OwnedCallback turning_{*this, OwnedCallback::kTurn<&PipeTransport::turn>};
};

// (asyncio: _UnixReadPipeTransport.)
class ReadPipe final : public PipeTransport {
 public:
  using PipeTransport::PipeTransport;

  const char* kind() const noexcept override { return "ReadPipeTransport"; }
  void close() override { close_with(nullptr); }
  void pause_reading() override { paused_ = true; }
  void resume_reading() override;
  bool is_reading() const override { return !paused_ && !closing_.begun(); }

 private:
  void opened() override;
  void ready() override;
  bool read_once();
  std::ptrdiff_t read_into(void* data, std::size_t size);

  bool paused_ = false;
};

// (asyncio: _UnixWritePipeTransport.)
class WritePipe final : public PipeTransport {
 public:
  using PipeTransport::PipeTransport;

  const char* kind() const noexcept override { return "WritePipeTransport"; }
  // After what is buffered.
  void close() override { write_eof(); }
  void write(std::string_view data) override;
  void writelines(std::span<const std::string_view> pieces) override;
  void write_eof() override;
  bool can_write_eof() const override { return true; }
  void set_write_buffer_limits(std::optional<std::size_t> high,
                               std::optional<std::size_t> low) override;
  std::pair<std::size_t, std::size_t> write_buffer_limits() const override {
    return flow_.limits();
  }
  std::size_t write_buffer_size() const override { return unsent(); }
  std::size_t unsent() const noexcept override { return buffer_.size() - sent_; }

 private:
  void opened() override;
  void ready() override;
  void stop() noexcept override;
  std::ptrdiff_t write_some(std::string_view data);
  void flush();
  void write_failed(int error);
  static void on_peer_edge(void* self);
  bool peer_has_closed();
  void ask_again_soon();

  FlowControl flow_;
  std::string buffer_;
  std::size_t sent_ = 0;  // Of the buffer.
  fibers::FdWatch peer_watch_;
  bool peer_edge_ = false;  // It has perhaps closed its end.
};

}  // namespace weft::loop::detail
