// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A value, and a callable, whose special members do what the test says: wait, throw, come back.

#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/timeouts.h"

namespace weft::testing {

// What happens inside a special member: "construct", "copy", "move", "destroy". Counts how many
// objects are alive, which is 0 after a test in which each was destroyed once.
struct UserCode {
  std::function<void(const std::string& where)> hook;
  int alive = 0;

  // Not inside itself, so that what the hook does may make such values.
  void run(const std::string& where) {
    if (hook == nullptr || inside_) return;
    inside_ = true;
    struct Left {
      bool& inside;
      ~Left() { inside = false; }
    } const left{inside_};
    hook(where);
  }

 private:
  bool inside_ = false;
};

// `kQuiet`: its move constructor does not throw, as those of items in channels must not.
template <bool kQuiet>
class BasicRestless {
 public:
  BasicRestless(UserCode& code, int value) : code_(code), value_(value) { enter("construct"); }
  BasicRestless(const BasicRestless& other) : code_(other.code_), value_(other.value_) {
    enter("copy");
  }
  // NOLINTNEXTLINE(performance-noexcept-move-constructor): it may throw.
  BasicRestless(BasicRestless&& other) noexcept(kQuiet) : code_(other.code_), value_(other.value_) {
    enter("move");
    other.value_ = kMoved;
  }
  BasicRestless& operator=(const BasicRestless&) = delete;
  // Drops what the hook throws: whatever it does may be cancelled, or fail.
  ~BasicRestless() {
    try {
      code_.run("destroy");
    } catch (...) {
    }
    --code_.alive;
  }

  int value() const { return value_; }
  void operator()() const {}

 private:
  static constexpr int kMoved = -1;

  void enter(const char* where) {
    code_.run(where);  // What throws here leaves nothing to destroy.
    ++code_.alive;
  }

  UserCode& code_;
  int value_;
};

using Restless = BasicRestless<false>;
using RestlessItem = BasicRestless<true>;

// A hook that does `action` the first time that `member` runs.
template <class F>
auto once_in(const char* member, F action) {
  return [member, action, done = false](const std::string& where) mutable {
    if (where == member && !std::exchange(done, true)) action();
  };
}

// A wait in a place where nothing may be thrown.
inline void pause(fibers::Duration length = std::chrono::seconds(1)) {
  fibers::CancelScope shield({.shield = true});
  shield.run([&] { fibers::sleep(length); });
}

}  // namespace weft::testing
