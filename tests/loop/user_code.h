// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A value, and a callable, whose special members do what the test says: wait, throw, come back.

#pragma once

#include <functional>
#include <string>

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

class Restless {
 public:
  Restless(UserCode& code, int value) : code_(code), value_(value) { enter("construct"); }
  Restless(const Restless& other) : code_(other.code_), value_(other.value_) { enter("copy"); }
  // NOLINTNEXTLINE(performance-noexcept-move-constructor): it may throw.
  Restless(Restless&& other) : code_(other.code_), value_(other.value_) { enter("move"); }
  Restless& operator=(const Restless&) = delete;
  // Drops what the hook throws: whatever it does may be cancelled, or fail.
  ~Restless() {
    try {
      code_.run("destroy");
    } catch (...) {
    }
    --code_.alive;
  }

  int value() const { return value_; }
  void operator()() const {}

 private:
  void enter(const char* where) {
    code_.run(where);  // What throws here leaves nothing to destroy.
    ++code_.alive;
  }

  UserCode& code_;
  int value_;
};

}  // namespace weft::testing
