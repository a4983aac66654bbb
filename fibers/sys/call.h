// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The seam between weft and the system: how each system call of weft's is made, so that a test can
// let it fail (see weft/fibers/testing/fault_sweep.h) and see that none is made otherwise.
//
// A call costs one load and one predicted branch more than its name. What happens at a gate is in
// gated.h: only a program that has a Gate carries it.

#pragma once

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <type_traits>

namespace weft::fibers::sys {

// How a call says that it has failed.
enum class Failure : std::uint8_t {
  kMinusOne,    // -1, or a null pointer, or MAP_FAILED, and errno.
  kReturnsIt,   // The error is what it returns.
  kStream,      // A call on a FILE, its first or its last argument: 0 or -1, errno, and its flag.
  kException,   // std::system_error.
  kCannotFail,  // Nothing that a caller could act on.
};

// What is about to be called. `detail` tells the uses of one call apart: its second argument where
// that is an int, as it is in fcntl(fd, F_GETFL). `size`: of the data, where some of them will do.
struct Asked {
  const char* name;
  Failure failure;
  int detail = 0;
  int fd = -1;
  std::size_t size = 0;
};

struct Answer {
  int error = 0;         // 0: make the call.
  bool after = false;    // Make it, and then say that error: close() and connect() go on.
  std::size_t size = 0;  // At most so many bytes; 0: all.
};

// Asked before each call, on the thread that makes it, which may be in a signal handler.
class Gate {
 public:
  virtual Answer before(const Asked& asked) noexcept = 0;
  // The call is over; not where it ends the process.
  virtual void after() noexcept = 0;

 protected:
  // From the first one on, for ever, every call looks whether `gate` is set.
  Gate();
  Gate(const Gate&) = default;
  Gate& operator=(const Gate&) = default;
  ~Gate() = default;
};

// Null but in a test. Relaxed: whoever sets it starts and joins the threads that it is for.
inline constinit std::atomic<Gate*> gate{nullptr};

template <const auto& kCall, class C>
class GatedCall;

// Instead of the function's type: that has attributes, which a template argument cannot have.
template <class R, class... A>
struct Signature {};
template <class R, class... A>
Signature<R, A...> signature_of(R (*)(A...));

// The call of one function: read(fd, data, size) is Call<&::read>{"read"}(fd, data, size).
template <auto Function, Failure kFailure = Failure::kMinusOne,
          class S = decltype(signature_of(Function))>
class Call;

template <auto Function, Failure kFailure, class R, class... A>
class Call<Function, kFailure, Signature<R, A...>> {
 public:
  explicit constexpr Call(const char* name) : name_(name) {}

  // Inlined always: otherwise programs would carry this object, for its address.
  [[gnu::always_inline]] R operator()(A... arguments) const {
    const Gated gated = gated_.load(std::memory_order_relaxed);
    if (gated != nullptr) [[unlikely]]
      return gated(arguments...);
    return Function(arguments...);
  }

 private:
  template <const auto& kCall, class C>
  friend class GatedCall;
  using Gated = R (*)(A...);

  const char* name_;
  // What is called instead, once there has been a Gate.
  static inline constinit std::atomic<Gated> gated_{nullptr};
};

// Makes a call until no signal has interrupted it.
template <class F>
auto uninterrupted(F&& call) {
  for (;;) {
    const auto result = call();
    if constexpr (std::is_pointer_v<decltype(call())>) {
      if (result != nullptr || errno != EINTR) return result;
    } else {
      if (result != -1 || errno != EINTR) return result;
    }
  }
}

// For what the standard library calls on our behalf, and whose errors it throws.
template <class F>
auto throwing(const char* name, F&& call) {
  Gate* const present = gate.load(std::memory_order_relaxed);
  if (present == nullptr) [[likely]]
    return call();
  struct Over {
    Gate& gate;
    ~Over() { gate.after(); }
  } const over{*present};
  const Answer answer = present->before({.name = name, .failure = Failure::kException});
  if (answer.error != 0)  // A string: see check.cc.
    throw std::system_error(answer.error, std::generic_category(), std::string(name));
  return call();
}

}  // namespace weft::fibers::sys
