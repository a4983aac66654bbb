// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Connections: what a protocol writes to, and closes. create_connection() and create_server() make
// them (loop_transports.h, loop_servers.h). (asyncio: transports.)
//
// All are values: copies name the same connection, which lives until it is closed, whether anybody
// holds it or not. They may outlive the loop. A call on an empty one is a UsageError.

#pragma once

#include <any>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "weft/loop/detail/transport_core.h"
#include "weft/loop/extra_info.h"

namespace weft::loop {

class EventLoop;

// (asyncio.BaseTransport.)
class BaseTransport {
 public:
  BaseTransport() = default;
  BaseTransport(const BaseTransport& other) noexcept : core_(other.core_) {
    if (core_ != nullptr) core_->retain();
  }
  BaseTransport(BaseTransport&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  BaseTransport& operator=(BaseTransport other) noexcept {
    std::swap(core_, other.core_);
    return *this;
  }
  ~BaseTransport() {
    if (core_ != nullptr) core_->release();
  }
  explicit operator bool() const { return core_ != nullptr; }
  friend bool operator==(const BaseTransport& a, const BaseTransport& b) {
    return a.core_ == b.core_;
  }

  // Sends what is buffered, then closes. Nothing is read any more. At the end connection_lost() is
  // called, with null. Idempotent.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void close() { core().close(); }
  // Whether it is closed, or being closed.
  bool is_closing() const { return core().is_closing(); }
  // What there is under `key`, or nothing.
  template <class T>
  std::optional<T> get_extra_info(const ExtraInfo<T>& key) const {
    const std::any found = core().extra_info(key.name);
    const T* const value = std::any_cast<T>(&found);
    return value == nullptr ? std::nullopt : std::optional<T>(*value);
  }
  // Another protocol is told from now on. The one before lives until a call of it that is going on
  // has returned. Throws UsageError if it is of a wrong kind.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void set_protocol(std::shared_ptr<BaseProtocol> protocol) {
    core().set_protocol(std::move(protocol));
  }
  // Null after connection_lost().
  std::shared_ptr<BaseProtocol> get_protocol() const { return core().protocol(); }
  // Throws UsageError if the loop is gone. (asyncio has no such method.)
  EventLoop& get_loop() const { return core().event_loop(); }

 protected:
  friend struct TransportAccess;
  // Takes over one reference.
  explicit BaseTransport(detail::TransportCore* core) noexcept : core_(core) {}
  detail::TransportCore& core() const {
    if (core_ == nullptr) throw_empty();
    return *core_;
  }

 private:
  [[noreturn]] static void throw_empty();

  detail::TransportCore* core_ = nullptr;
};

namespace detail {

// The methods of what can be read from.
template <class Self>
class ReadMethods {
 public:
  // No more data_received() from now on, nor eof_received(). Harmless when repeated, and when
  // closing.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void pause_reading() { target().pause_reading(); }
  // What has come meanwhile is delivered in the next iterations.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void resume_reading() { target().resume_reading(); }
  // Neither paused nor closing.
  bool is_reading() const { return target().is_reading(); }

 private:
  TransportCore& target() const { return static_cast<const Self&>(*this).core(); }
};

// The methods of what has a buffer for what it cannot send at once.
template <class Self>
class BufferMethods {
 public:
  // Closes at once: what is buffered is dropped. connection_lost() comes with null.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void abort() { target().abort(); }

  // pause_writing() comes above `high` bytes, resume_writing() at `low` or fewer. Left out: 64 KiB,
  // or 4 * low; and high / 4. Throws UsageError unless high >= low.
  void set_write_buffer_limits(std::optional<std::size_t> high = std::nullopt,
                               std::optional<std::size_t> low = std::nullopt) {
    target().set_write_buffer_limits(high, low);
  }
  // {low, high}.
  std::pair<std::size_t, std::size_t> get_write_buffer_limits() const {
    return target().write_buffer_limits();
  }
  // How many bytes wait to be sent.
  std::size_t get_write_buffer_size() const { return target().write_buffer_size(); }

 private:
  TransportCore& target() const { return static_cast<const Self&>(*this).core(); }
};

// The methods of what can be written to.
template <class Self>
class WriteMethods {
 public:
  // Sends `data`, or copies into a buffer what the system does not take at once, to send it later.
  // Never waits; protocols hear of a full buffer by pause_writing(). On a connection that is lost
  // it does nothing. Throws UsageError after write_eof().
  //
  // Blocks: no, unless pause_writing() does.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void write(std::string_view data) { target().write(data); }
  void write(std::span<const std::byte> data) {
    write(std::string_view(static_cast<const char*>(static_cast<const void*>(data.data())),
                           data.size()));
  }
  // All pieces in their order, by one system call if that takes them. Copies only what that leaves.
  //
  // Blocks: no, unless pause_writing() does.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void writelines(std::span<const std::string_view> pieces) { target().writelines(pieces); }
  // The peer is to see the end after what has been written. Reading goes on. Idempotent.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  void write_eof() { target().write_eof(); }
  bool can_write_eof() const { return target().can_write_eof(); }

 private:
  TransportCore& target() const { return static_cast<const Self&>(*this).core(); }
};

}  // namespace detail

// (asyncio.ReadTransport.)
class ReadTransport : public BaseTransport, public detail::ReadMethods<ReadTransport> {
 public:
  ReadTransport() = default;

 private:
  friend struct TransportAccess;
  friend class detail::ReadMethods<ReadTransport>;
  using BaseTransport::BaseTransport;
};

// (asyncio.WriteTransport.)
class WriteTransport : public BaseTransport,
                       public detail::WriteMethods<WriteTransport>,
                       public detail::BufferMethods<WriteTransport> {
 public:
  WriteTransport() = default;

 private:
  friend struct TransportAccess;
  friend class detail::WriteMethods<WriteTransport>;
  friend class detail::BufferMethods<WriteTransport>;
  using BaseTransport::BaseTransport;
};

// What can be both. That of a pipe can be one only: what it cannot is a UsageError.
// (asyncio.Transport.)
class Transport : public BaseTransport,
                  public detail::ReadMethods<Transport>,
                  public detail::WriteMethods<Transport>,
                  public detail::BufferMethods<Transport> {
 public:
  Transport() = default;
  operator ReadTransport() const;   // NOLINT(google-explicit-constructor): a Transport is one.
  operator WriteTransport() const;  // NOLINT(google-explicit-constructor)

 private:
  friend struct TransportAccess;
  friend class detail::ReadMethods<Transport>;
  friend class detail::WriteMethods<Transport>;
  friend class detail::BufferMethods<Transport>;
  using BaseTransport::BaseTransport;
};

// For weft's own files, and for transports of your own.
struct TransportAccess {
  template <class T = Transport>
  static T share(detail::TransportCore& core) noexcept {
    core.retain();
    return T(&core);
  }
  static detail::TransportCore& core(const BaseTransport& transport) { return transport.core(); }
};

inline Transport::operator ReadTransport() const {
  return TransportAccess::share<ReadTransport>(core());
}
inline Transport::operator WriteTransport() const {
  return TransportAccess::share<WriteTransport>(core());
}

}  // namespace weft::loop
