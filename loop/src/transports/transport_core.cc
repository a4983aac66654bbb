// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/transport_core.h"

#include <string>

#include "weft/fibers/errors.h"
#include "weft/loop/transport.h"

namespace weft::loop {

namespace detail {

void TransportCore::throw_cannot(const char* what) const {
  throw fibers::UsageError(std::string("a ") + kind() + " cannot be " + what);
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
