// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft::throw_backtraces: a __cxa_throw in front of the C++ runtime's, which notes the stack. What
// is noted goes when the exception does, for its destructor is replaced as well: an exception made
// later at the same address is not mistaken for it.

#include "weft/fibers/throw_backtrace.h"

#include <dlfcn.h>
#include <unwind.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <typeinfo>
#include <unordered_map>
#include <utility>

#include "weft/fibers/backtrace.h"
#include "weft/fibers/detail/sanitizers.h"

#ifdef WEFT_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace weft::fibers {

namespace {

using Destructor = void (*)(void*);
using Throw = void (*)(void*, std::type_info*, Destructor);

constexpr std::size_t kMostFrames = 48;

struct Throwing {
  std::array<const void*, kMostFrames> frames;
  std::size_t size = 0;
  std::size_t skip = 0;
};

_Unwind_Reason_Code take_frame(_Unwind_Context* context, void* argument) {
  auto& throwing = *static_cast<Throwing*>(argument);
  const auto address = _Unwind_GetIP(context);
  if (address == 0 || throwing.size == kMostFrames) return _URC_END_OF_STACK;
  if (throwing.skip > 0) {
    --throwing.skip;
    return _URC_NO_REASON;
  }
  throwing.frames[throwing.size++] = reinterpret_cast<const void*>(address);
  return _URC_NO_REASON;
}

// By the address of the exception object. Any thread may throw, and any may drop the last pointer.
class Records {
 public:
  void add(const void* thrown, const Throwing& throwing, Destructor destroy) {
    const auto* const first = throwing.frames.data();
    Record record{std::vector<const void*>(first, first + throwing.size), destroy};
    const std::lock_guard lock(mutex_);
    records_.insert_or_assign(thrown, std::move(record));
  }
  Destructor remove(const void* thrown) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = records_.find(thrown);
    if (found == records_.end()) return nullptr;
    const Destructor destroy = found->second.destroy;
    records_.erase(found);
    return destroy;
  }
  std::vector<const void*> frames(const void* thrown) {
    const std::lock_guard lock(mutex_);
    const auto found = records_.find(thrown);
    return found == records_.end() ? std::vector<const void*>() : found->second.frames;
  }

 private:
  struct Record {
    std::vector<const void*> frames;
    Destructor destroy;
  };
  std::mutex mutex_;
  std::unordered_map<const void*, Record> records_;
};

std::atomic<bool> g_recording{false};
// What notes a throw must not be noted itself.
thread_local bool tls_noting = false;

// Never destroyed: exceptions may be dropped after every static object is gone.
Records& records() {
  static auto* const instance = new Records;
  return *instance;
}

void forget_and_destroy(void* thrown) {
  if (const Destructor destroy = records().remove(thrown)) destroy(thrown);
}

// The destructor to give to the runtime. Without memory for a record the throw goes on without one.
[[gnu::noinline]] Destructor note(void* thrown, Destructor destroy) {
  if (tls_noting) return destroy;
  tls_noting = true;
  Throwing throwing;
  throwing.skip = 2;  // This and __cxa_throw.
  _Unwind_Backtrace(&take_frame, &throwing);
  try {
    records().add(thrown, throwing, destroy);
    destroy = &forget_and_destroy;
  } catch (...) {
    static_cast<void>(0);
  }
  tls_noting = false;
  return destroy;
}

std::vector<const void*> frames_of(const void* thrown) {
  return records().frames(thrown);
}

}  // namespace

bool record_throw_backtraces(bool on) {
  records();
  detail::set_throw_frames(&frames_of, &describe_frame);
  return g_recording.exchange(on);
}

}  // namespace weft::fibers

// The runtime's name for it.
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wreserved-identifier"
#endif
// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" [[noreturn, gnu::visibility("default")]] void __cxa_throw(void* thrown,
                                                                     std::type_info* type,
                                                                     void (*destroy)(void*)) {
  using weft::fibers::Throw;
  static const auto next = reinterpret_cast<Throw>(::dlsym(RTLD_NEXT, "__cxa_throw"));
  if (next == nullptr) std::abort();  // The runtime is not a shared library.
  if (weft::fibers::g_recording.load(std::memory_order_relaxed)) {
    destroy = weft::fibers::note(thrown, destroy);
  }
#ifdef WEFT_ASAN
  __asan_handle_no_return();
#endif
  next(thrown, type, destroy);
  std::abort();
}
