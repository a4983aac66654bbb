// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The two exceptions that are not errors. Neither derives from std::exception, so that
// `catch (const std::exception&)` lets them pass, as Python's `except Exception` does.

#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

class RaiseCancel;
struct CancelReason;

// Raised by a wait inside a cancelled scope, and only by the runtime. Let it pass: the scope that
// was cancelled catches it. Cancellation is level-triggered: a task that swallows a Cancelled gets
// another at its next wait, and a warning that names the task when the scope closes. (Trio:
// trio.Cancelled.)
//
// In a cancelled scope every call that may suspend throws Cancelled first, whatever else is wrong:
// see checkpoint_if_cancelled(). A nursery that ends in nothing but Cancelled throws one bare
// Cancelled, not a group, so that a catch clause finds it.
//
// Clean up in destructors where you can. Where the clean-up has to wait, give it a shield and a
// deadline, and throw on:
//
//   try {
//     open_nursery([&](Nursery& nursery) { serve(nursery, connection); });
//   } catch (const Cancelled&) {  // `catch (...)` for errors as well, or a group that holds both
//     CancelScope last_words({.relative_deadline = std::chrono::seconds(1), .shield = true});
//     last_words.run([&] { connection.send_all(goodbye); });
//     throw;
//   }
class Cancelled {
 public:
  // "deadline", "explicit", "nursery", "KeyboardInterrupt", "shutdown" or "unknown".
  std::string_view source() const;
  // What CancelScope::cancel was given, or empty.
  std::string_view reason() const;
  // The name of the task that caused it, if one did.
  std::string_view source_task() const;
  // "cancelled due to deadline", with reason and task where there are any.
  std::string what() const;

 private:
  friend class RaiseCancel;
  explicit Cancelled(std::shared_ptr<const CancelReason> reason) : reason_(std::move(reason)) {}
  std::shared_ptr<const CancelReason> reason_;
};

// The user pressed Ctrl-C. Delivered once, to the main task of the run on the main thread, at its
// next wait, before any cancellation and regardless of shields. (Trio: KeyboardInterrupt under
// restrict_keyboard_interrupt_to_checkpoints; C++ cannot throw out of a signal handler.)
class KeyboardInterrupt {
 public:
  const char* what() const noexcept { return "KeyboardInterrupt"; }
};

}  // namespace weft::fibers
