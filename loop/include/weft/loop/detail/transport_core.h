// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What is behind the transports of transport.h. Not for use outside weft, but to implement a
// transport.

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

#include "weft/loop/detail/loop_object.h"

namespace weft::loop::detail {

// How a transport sends a file. (asyncio: _sendfile_compatible.)
enum class SendfileMode : std::uint8_t {
  kUnsupported,
  kFallback,   // By write().
  kTryNative,  // It is a SocketTransport.
};

// The methods of asyncio's transports. Those that a kind of transport does not have throw
// UsageError.
class TransportCore : public LoopObject {
 public:
  using LoopObject::LoopObject;

  // "SocketTransport", for messages.
  virtual const char* kind() const noexcept = 0;

  virtual void close() = 0;
  virtual bool is_closing() const = 0;
  virtual void abort();
  // As abort(), but connection_lost() is told `error`. (asyncio: _force_close.)
  virtual void force_close(std::exception_ptr error) = 0;
  // Empty if there is none.
  virtual std::any extra_info(std::string_view name) const;

  // Throws UsageError if the protocol is null or of a kind that the transport does not drive.
  virtual void set_protocol(std::shared_ptr<BaseProtocol> protocol) = 0;
  virtual std::shared_ptr<BaseProtocol> protocol() const = 0;

  virtual void pause_reading();
  virtual void resume_reading();
  virtual bool is_reading() const;

  virtual void write(std::string_view data);
  virtual void writelines(std::span<const std::string_view> pieces);
  virtual void write_eof();
  virtual bool can_write_eof() const;
  virtual void set_write_buffer_limits(std::optional<std::size_t> high,
                                       std::optional<std::size_t> low);
  virtual std::pair<std::size_t, std::size_t> write_buffer_limits() const;
  virtual std::size_t write_buffer_size() const;

  // Whether a layer such as TLS can be put on it. (asyncio: _start_tls_compatible.)
  virtual bool start_tls_compatible() const { return false; }
  virtual SendfileMode sendfile_mode() const { return SendfileMode::kUnsupported; }
  // Whether the protocol has been told pause_writing(), and not yet resume_writing().
  virtual bool writing_paused() const { return false; }
  // How many bytes wait to be sent.
  virtual std::size_t unsent() const noexcept { return 0; }

 protected:
  // Whether the program knows of it: connection_made() has been called.
  virtual bool is_known() const noexcept { return true; }
  // " fd=7 127.0.0.1:4711 -> 127.0.0.1:80", for messages.
  virtual std::string about() const;

 private:
  // Also one that is closed, if the end of the loop cuts off what was written to it.
  bool unclosed() const noexcept override { return is_known() && (!is_closing() || unsent() > 0); }
  void report_unclosed() override;
  void wind_up(WindUp stage) override {
    if (stage == WindUp::kTransports) force_close(nullptr);
  }
  [[noreturn]] void throw_cannot(const char* what) const;
};

}  // namespace weft::loop::detail
