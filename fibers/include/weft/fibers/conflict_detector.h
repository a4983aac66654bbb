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

#include "weft/fibers/detail/destroyed.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/task.h"

namespace weft::fibers {

// Costs two pointers. May be moved while nobody uses it; destroying it while a task uses it ends
// the process. (Trio: the same, inside.)
class ConflictDetector {
 public:
  // `message` is what BusyResourceError says, a string that outlives this.
  explicit constexpr ConflictDetector(const char* message) : message_(message) {}
  constexpr ConflictDetector(const ConflictDetector& other) : message_(other.message_) {}
  // NOLINTNEXTLINE(bugprone-unhandled-self-assignment): does no harm.
  ConflictDetector& operator=(const ConflictDetector& other) {
    message_ = other.message_;
    return *this;
  }
  ~ConflictDetector() {
    if (use_ != nullptr) [[unlikely]]
      detail::destroyed_in_use("object of a ConflictDetector", this, use_->task_, "uses it");
  }

  bool in_use() const { return use_ != nullptr; }

  // Uses the resource for as long as it lives.
  class [[nodiscard]] Use {
   public:
    // Throws BusyResourceError if somebody uses it already; in a cancelled scope Cancelled.
    explicit Use(ConflictDetector& detector) : detector_(detector) {
      if (detector.in_use()) {
        if (in_trio_task()) checkpoint_if_cancelled();
        throw BusyResourceError(detector.message_);
      }
      detector.use_ = this;
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() { detector_.use_ = nullptr; }

   private:
    friend class ConflictDetector;
    ConflictDetector& detector_;
    // Null outside a task.
    const Task* const task_ = in_trio_task() ? &current_task() : nullptr;
  };

 private:
  const char* message_;
  const Use* use_ = nullptr;
};

}  // namespace weft::fibers
