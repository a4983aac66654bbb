// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The seam between weft and the system: how each system call of weft's is made, so that a test can
// let it fail (see weft/fibers/testing/fault_sweep.h) and see that none is made otherwise.
//
// Without a gate a call costs one load and one predicted branch more than its name.

#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

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
  Gate() = default;
  Gate(const Gate&) = default;
  Gate& operator=(const Gate&) = default;
  ~Gate() = default;
};

// Null but in a test. Relaxed: whoever sets it starts and joins the threads that it is for.
inline constinit std::atomic<Gate*> gate{nullptr};

// Every program has all of this, and hardly any uses it: for size, and what the calls have in
// common once. GCC would make copies in each file, specialised to a name, that are not merged.
#if __has_attribute(noclone)
#define WEFT_GATED [[gnu::cold, gnu::noinline, gnu::noclone]]
#else
#define WEFT_GATED [[gnu::cold, gnu::noinline]]
#endif

WEFT_GATED inline Answer ask(Gate& present, const Asked& asked) noexcept {
  const Answer answer = present.before(asked);
  if (answer.error != 0 && !answer.after) present.after();
  return answer;
}

WEFT_GATED inline void told_after(Gate& present) noexcept {
  const int error = errno;
  present.after();
  errno = error;
}

// The call of one function: read(fd, data, size) is Call<&::read>{"read"}(fd, data, size).
template <auto Function, Failure kFailure = Failure::kMinusOne>
class Call {
 public:
  explicit constexpr Call(const char* name) : name_(name) {}

  template <class... A>
  auto operator()(A... arguments) const {
    if (Gate* const present = gate.load(std::memory_order_relaxed)) [[unlikely]] {
      return gated(*present, arguments...);
    }
    return Function(arguments...);
  }

 private:
  template <class... A>
  WEFT_GATED auto gated(Gate& present, A... arguments) const {
    using Result = decltype(Function(arguments...));
    std::tuple<A...> taken(arguments...);
    const Answer answer = ask(present, describe(taken));
    if constexpr (has_size<A...>()) {
      if (answer.size > 0) std::get<2>(taken) = answer.size;
    }
    if (answer.error != 0 && !answer.after) return failed<Result>(answer.error, taken);
    if constexpr (std::is_void_v<Result>) {
      std::apply(Function, taken);
      told_after(present);
    } else {
      const Result result = std::apply(Function, taken);
      told_after(present);
      return answer.error != 0 ? failed<Result>(answer.error, taken) : result;
    }
  }

  // read(fd, data, size), and those like it.
  template <class... A>
  static constexpr bool has_size() {
    if constexpr (sizeof...(A) >= 3) {
      return std::is_same_v<std::tuple_element_t<2, std::tuple<A...>>, std::size_t> &&
             std::is_same_v<std::tuple_element_t<0, std::tuple<A...>>, int>;
    }
    return false;
  }

  template <class... A>
  Asked describe(const std::tuple<A...>& taken) const {
    Asked asked{.name = name_, .failure = kFailure};
    if constexpr (sizeof...(A) >= 1) {
      if constexpr (std::is_same_v<std::tuple_element_t<0, std::tuple<A...>>, int>) {
        asked.fd = std::get<0>(taken);
      }
    }
    if constexpr (sizeof...(A) >= 2) {
      if constexpr (std::is_same_v<std::tuple_element_t<1, std::tuple<A...>>, int>) {
        asked.detail = std::get<1>(taken);
      }
    }
    if constexpr (has_size<A...>()) asked.size = std::get<2>(taken);
    return asked;
  }

  template <class Result, class Taken>
  static Result failed(int error, [[maybe_unused]] const Taken& taken) {
    if constexpr (kFailure == Failure::kStream) mark_failed(taken);
    if constexpr (kFailure == Failure::kReturnsIt) {
      return static_cast<Result>(error);
    } else if constexpr (std::is_same_v<Result, void*>) {
      errno = error;
      return MAP_FAILED;
    } else if constexpr (std::is_pointer_v<Result>) {
      errno = error;
      return nullptr;
    } else if constexpr (!std::is_void_v<Result>) {
      errno = error;
      // What fread() and fwrite() return counts what they did.
      return std::is_unsigned_v<Result> ? Result{0} : static_cast<Result>(-1);
    }
  }

  template <class Taken>
  static void mark_failed(const Taken& taken) {
    constexpr std::size_t kLast = std::tuple_size_v<Taken> - 1;
    if constexpr (std::is_pointer_v<std::tuple_element_t<kLast, Taken>>) {
      std::get<kLast>(taken)->_flags |= _IO_ERR_SEEN;
    } else {
      std::get<0>(taken)->_flags |= _IO_ERR_SEEN;
    }
  }

  const char* name_;
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
  if (answer.error != 0) throw std::system_error(answer.error, std::generic_category(), name);
  return call();
}

}  // namespace weft::fibers::sys
