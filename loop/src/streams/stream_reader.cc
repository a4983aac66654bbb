// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/stream_reader.h"

#include <utility>

namespace weft::loop {

using detail::Separators;
using Core = detail::StreamReaderCore;

StreamReader::StreamReader(std::size_t limit) : core_(detail::make_counted<Core>(limit)) {}
StreamReader::StreamReader(EventLoop& loop, std::size_t limit)
    : core_(detail::make_counted<Core>(loop, limit)) {}

Coro<std::string> StreamReader::read(std::ptrdiff_t n) {
  if (n < 0) return Core::read_all(core());
  return Core::read<std::string>(core(), static_cast<std::size_t>(n));
}
Coro<std::string_view> StreamReader::read_view(std::size_t n) {
  return Core::read<std::string_view>(core(), n);
}
Coro<std::string> StreamReader::readline() {
  return Core::readline<std::string>(core());
}
Coro<std::string_view> StreamReader::readline_view() {
  return Core::readline<std::string_view>(core());
}
Coro<std::string> StreamReader::readexactly(std::size_t n) {
  return Core::readexactly<std::string>(core(), n);
}
Coro<std::string_view> StreamReader::readexactly_view(std::size_t n) {
  return Core::readexactly<std::string_view>(core(), n);
}
Coro<std::string> StreamReader::readuntil(std::string_view separator) {
  return Core::readuntil<std::string>(core(), Separators(separator));
}
Coro<std::string> StreamReader::readuntil(std::span<const std::string_view> separators) {
  return Core::readuntil<std::string>(core(), Separators(separators));
}
Coro<std::string> StreamReader::readuntil(std::initializer_list<std::string_view> separators) {
  return readuntil(std::span(separators.begin(), separators.size()));
}
Coro<std::string_view> StreamReader::readuntil_view(std::string_view separator) {
  return Core::readuntil<std::string_view>(core(), Separators(separator));
}

}  // namespace weft::loop
