// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/transport_core.h"

#include <string>

#include "weft/fibers/errors.h"
#include "weft/fibers/socket_address.h"
#include "weft/loop/extra_info.h"
#include "weft/loop/transport.h"

namespace weft::loop {

namespace detail {

void TransportCore::throw_cannot(const char* what) const {
  throw fibers::UsageError(std::string("a ") + kind() + " cannot be " + what);
}

static void add_address(std::string& text, const std::any& found, const char* before) {
  if (const auto* const address = std::any_cast<fibers::SocketAddress>(&found)) {
    text += before + address->to_string();
  }
}

static int descriptor_of(const TransportCore& transport) {
  for (const std::string_view name : {extra_info::socket.name, extra_info::pipe.name}) {
    const std::any found = transport.extra_info(name);
    if (const int* const fd = std::any_cast<int>(&found)) return *fd;
  }
  return -1;
}

std::string TransportCore::about() const {
  std::string text;
  if (const int fd = descriptor_of(*this); fd >= 0) text += " fd=" + std::to_string(fd);
  add_address(text, extra_info(extra_info::sockname.name), " ");
  add_address(text, extra_info(extra_info::peername.name), " -> ");
  return text;
}

void TransportCore::report_unclosed() {
  std::string message = std::string("unclosed transport <") + kind();
  if (is_closing()) message += " closing";
  message += about();
  if (unsent() > 0) message += ", " + std::to_string(unsent()) + " bytes not sent";
  message += is_closing() ? ">: its loop is closed too early; after close() wait for "
                            "connection_lost(), or await wait_closed() of its StreamWriter"
                          : ">: its loop is closed first; close() it before, or its StreamWriter";
  const std::shared_ptr<BaseProtocol> told = protocol();
  report(loop(), {.message = message.c_str(),
                  .transport = this,
                  .protocol = told.get(),
                  .socket = descriptor_of(*this)});
}

void TransportCore::abort() {
  force_close(nullptr);
}

std::any TransportCore::extra_info(std::string_view) const {
  return {};
}

void TransportCore::pause_reading() {
  throw_cannot("read from: there is no reading to pause");
}
void TransportCore::resume_reading() {
  throw_cannot("read from: there is no reading to resume");
}
bool TransportCore::is_reading() const {
  return false;
}

void TransportCore::write(std::string_view) {
  throw_cannot("written to");
}
void TransportCore::writelines(std::span<const std::string_view>) {
  throw_cannot("written to");
}
void TransportCore::write_eof() {
  throw_cannot("written to: it has no sending side to end");
}
bool TransportCore::can_write_eof() const {
  return false;
}
void TransportCore::set_write_buffer_limits(std::optional<std::size_t>,
                                            std::optional<std::size_t>) {
  throw_cannot("written to: it has no buffer");
}
std::pair<std::size_t, std::size_t> TransportCore::write_buffer_limits() const {
  throw_cannot("written to: it has no buffer");
}
std::size_t TransportCore::write_buffer_size() const {
  throw_cannot("written to: it has no buffer");
}

}  // namespace detail

void BaseTransport::throw_empty() {
  throw fibers::UsageError("this transport is empty: it names no connection");
}

}  // namespace weft::loop
