// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/stream.h"

#include <algorithm>

namespace weft::fibers {

// For streams that do not know better. The string is made at full size first: only the stream knows
// when, without another task running in between, it could be copied from a shared buffer.
std::string ReceiveStream::receive_some(std::size_t max) {
  std::string data(std::min(max, kDefaultReceive), '\0');
  data.resize(receive_some(std::as_writable_bytes(std::span(data))));
  // What came is often small, and kept.
  if (data.size() < data.capacity() / 2) data.shrink_to_fit();
  return data;
}

}  // namespace weft::fibers
