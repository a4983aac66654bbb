// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/captures.h"

#include <cstdint>
#include <cstring>
#include <string>

#include "fibers/core/nursery_access.h"
#include "fibers/core/scheduler.h"

namespace weft::fibers {

namespace detail {

namespace {

using Address = std::uintptr_t;

Address as_address(const void* p) {
  return reinterpret_cast<Address>(p);
}

#ifdef WEFT_ASAN
// ASan may keep a function's variables in a fake frame on the heap. Its place on the real stack, or
// zero: this lies in none.
Address real_place(const void* p) {
  void* const fakes = __asan_get_current_fake_stack();
  if (fakes == nullptr) return 0;
  return as_address(__asan_addr_is_in_fake_stack(fakes, const_cast<void*>(p), nullptr, nullptr));
}
#endif

bool may_go(Address word, Address low, Address bound) {
  if (word - low < bound - low) return true;
#ifdef WEFT_ASAN
  // Variables of the function that has the bound may share its fake frame.
  const Address real = real_place(reinterpret_cast<const void*>(word));
  return real != 0 && real <= bound;
#else
  return false;
#endif
}

std::string shown(const std::source_location& site) {
  return std::string(site.file_name()) + ":" + std::to_string(site.line());
}

[[noreturn, gnu::cold]] void refuse_captures(TaskBlock& task, const Nursery& nursery,
                                             const ClosureType& type, std::size_t word) {
  const bool own = NurseryAccess::opener(nursery) == task.scheduler->running();
  std::string text = "the task '" + std::string(task.name()) + "', started at " + shown(task.site) +
                     ", refers to something that may be gone before it ends (the word at byte " +
                     std::to_string(word) + " of its closure). ";
  text += own ? "It lies in the body of the nursery opened at "
              : "It lies on the stack of the task that starts this one; that task does not wait "
                "for the nursery opened at ";
  text += shown(NurseryAccess::site(nursery)) +
          ". Declare it outside of that nursery, or move it into the closure. If it is certain to "
          "outlive the task, set TaskOptions::unchecked_captures";
  if (type.destroy != nullptr) type.destroy(task.closure);
  task.scheduler->discard_task(&task);
  throw UsageError(text);
}

}  // namespace

const void* captures_bound(const Nursery& nursery) {
  const TaskBlock* opener = NurseryAccess::opener(nursery);
  const TaskBlock* running = opener->scheduler->running();
  if (running == opener) return NurseryAccess::body_frame(nursery);
  // Another task's whole stack. The block itself lies above its frames and its closure.
  if (running != nullptr) return running;
  // A call from outside, on the stack of run(): what its caller has declared lies above the
  // scheduler. That of a guest lies elsewhere.
  return opener->scheduler->host().exists ? nullptr : opener->scheduler;
}

// The lower end is an address inside this function, which the compiler must not put elsewhere.
[[gnu::noinline]] void check_captures(TaskBlock& task, const Nursery& nursery,
                                      const ClosureType& type) {
  const Address low = as_address(__builtin_frame_address(0));
  const Address bound = as_address(captures_bound(nursery));
  if (bound <= low) return;
  const auto* closure = static_cast<const std::byte*>(task.closure);
  for (std::size_t at = 0; at + sizeof(Address) <= type.user_size; at += sizeof(Address)) {
    Address word = 0;
    std::memcpy(&word, closure + at, sizeof(word));
    // A bool before padding that holds the rest of an older pointer. A closure with a destructor
    // may have members that are copied with their padding.
    if ((type.has_gaps || type.destroy != nullptr) && word % 256 <= 1) continue;
    if (may_go(word, low, bound)) [[unlikely]]
      refuse_captures(task, nursery, type, at);
  }
}

}  // namespace detail

void Nursery::set_body_frame(const void* frame, [[maybe_unused]] const void* local) {
  body_frame_ = frame;
#ifdef WEFT_ASAN
  // With fake frames, places are comparable only with those of other fake frames.
  if (__asan_get_current_fake_stack() == nullptr) return;
  body_frame_ = reinterpret_cast<const void*>(detail::real_place(local));
#endif
}

}  // namespace weft::fibers
