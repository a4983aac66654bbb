// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The datagrams that the system has not taken yet.

#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>

#include "weft/fibers/socket_address.h"

namespace weft::loop::detail {

// A list, because an idle endpoint then holds no memory for it: the system mostly takes a datagram
// at once.
class DatagramQueue {
 public:
  // What a datagram counts besides its bytes: empty ones cannot grow the queue unnoticed.
  // (asyncio: _header_size.)
  static constexpr std::size_t kHeader = 8;

  struct Datagram {
    std::string data;
    fibers::SocketAddress to;  // Empty: the peer.
  };

  bool empty() const { return waiting_.empty(); }
  std::size_t size() const { return size_; }
  const Datagram& front() const { return waiting_.front(); }
  // Strong: on std::bad_alloc nothing has changed.
  void push(std::string_view data, const fibers::SocketAddress* to) {
    waiting_.push_back(
        {.data = std::string(data), .to = to == nullptr ? fibers::SocketAddress() : *to});
    size_ += data.size() + kHeader;
  }
  void pop() noexcept {
    size_ -= waiting_.front().data.size() + kHeader;
    waiting_.pop_front();
  }
  void clear() noexcept {
    waiting_.clear();
    size_ = 0;
  }

 private:
  std::list<Datagram> waiting_;
  std::size_t size_ = 0;
};

}  // namespace weft::loop::detail
