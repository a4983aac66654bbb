// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What lies between the memory streams and those who fill or empty them: bytes without limit.

#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "weft/fibers/conflict_detector.h"
#include "weft/fibers/parking_lot.h"

namespace weft::fibers::testing::detail {

class ByteQueue {
 public:
  // Throws ClosedResourceError.
  void put(std::string_view data);
  // What is left can still be had, and then the end.
  void close();
  void close_and_drop();
  bool closed() const { return closed_; }

  // At most `max` bytes; empty at the end. Throws UsageError for 0, and BusyResourceError if
  // another task waits already.
  std::string get(std::size_t max);
  // Throws WouldBlock.
  std::string get_nowait(std::size_t max);
  std::size_t get(std::span<std::byte> buffer);

 private:
  bool ready() const { return closed_ || left() > 0; }
  std::size_t left() const { return data_.size() - taken_; }
  void wait_until_ready();
  std::string take(std::size_t max);
  void drop(std::size_t count);

  ConflictDetector fetching_{"another task is fetching data from this stream already"};
  ParkingLot waiting_;
  std::string data_;
  std::size_t taken_ = 0;  // How much of the front of data_ is gone.
  bool closed_ = false;
};

}  // namespace weft::fibers::testing::detail
