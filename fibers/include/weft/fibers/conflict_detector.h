// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// For resources that one task at a time may use, such as a direction of a stream: a second one is
// told at once, in place of a mess.
//
//   void send_all(std::span<const std::byte> data) override {
//     const ConflictDetector::Use use(sending_);
//     ...
//   }
//   ConflictDetector sending_{"another task is sending on this stream already"};

#pragma once

#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"

namespace weft::fibers {

// Costs a flag. May be moved while nobody uses it. (Trio: the same, inside.)
class ConflictDetector {
 public:
  // `message` is what BusyResourceError says, a string that outlives this.
  explicit constexpr ConflictDetector(const char* message) : message_(message) {}

  bool in_use() const { return in_use_; }

  // Uses the resource for as long as it lives.
  class [[nodiscard]] Use {
   public:
    // Throws BusyResourceError if somebody uses it already; in a cancelled scope Cancelled.
    explicit Use(ConflictDetector& detector) : detector_(detector) {
      if (detector.in_use_) {
        if (in_trio_task()) checkpoint_if_cancelled();
        throw BusyResourceError(detector.message_);
      }
      detector.in_use_ = true;
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() { detector_.in_use_ = false; }

   private:
    ConflictDetector& detector_;
  };

 private:
  const char* message_;
  bool in_use_ = false;
};

}  // namespace weft::fibers
