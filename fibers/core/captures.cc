// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/captures.h"

#include <cstdint>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>

#include "fibers/core/nursery_access.h"
#include "fibers/core/scheduler.h"
#include "fibers/core/text.h"
#include "weft/fibers/detail/captures.h"

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

// Then places on the stack say nothing about variables.
bool frames_are_faked() {
#ifdef WEFT_ASAN
  return __asan_get_current_fake_stack() != nullptr;
#else
  return false;
#endif
}

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
  return concat({site.file_name(), ":", site.line()});
}

[[gnu::cold]] UsageError refusal(std::string_view task, const std::source_location& started,
                                 const Nursery& nursery, std::size_t word) {
  const TaskBlock* opener = NurseryAccess::opener(nursery);
  const bool own = opener == opener->scheduler->running();
  const char* const where = own ? "It lies in the body of the nursery opened at "
                                : "It lies on the stack of the task that starts this one; that "
                                  "task does not wait for the nursery opened at ";
  const char* const advice =
      ". Declare it outside of that nursery, or move it into the closure. If it is certain to "
      "outlive the task, set TaskOptions::unchecked_captures";
  return UsageError(
      concat({"the task '", task, "', started at ", shown(started),
              ", refers to something that may be gone before it ends (the word at byte ", word,
              " of its closure). ", where, shown(NurseryAccess::site(nursery)), advice}));
}

constexpr std::size_t kNoReference = ~std::size_t{0};

// The byte at which a word refers to what lies between `low` and the bound, or kNoReference.
inline std::size_t find_reference(const void* closure, const ClosureType& type,
                                  const Nursery& nursery, Address low) {
  if (type.checked_size > kLargestChecked) return kNoReference;
  const Address bound = as_address(captures_bound(nursery));
  if (bound <= low) return kNoReference;
  for (std::size_t at = 0; at + sizeof(Address) <= type.checked_size; at += sizeof(Address)) {
    Address word = 0;
    std::memcpy(&word, static_cast<const std::byte*>(closure) + at, sizeof(word));
    if (may_go(word, low, bound) && type.is_value(at)) [[unlikely]]
      return at;
  }
  return kNoReference;
}

}  // namespace

const void* captures_bound(const Nursery& nursery) {
  Scheduler* const scheduler = NurseryAccess::opener(nursery)->scheduler;
  const TaskBlock* running = scheduler->running();
  // A call from outside, on the stack of run(): what its caller has declared lies above the
  // scheduler. That of a guest lies elsewhere.
  if (running == nullptr)
    return scheduler->host().exists || frames_are_faked() ? nullptr : scheduler;
  // The running task may have opened a nursery around the one that opened this one. That ends later
  // than this, and what was declared before it outlives both.
  for (const Nursery* n = &nursery; n != nullptr;) {
    const TaskBlock* opener = NurseryAccess::opener(*n);
    if (opener == running) return NurseryAccess::body_frame(*n);
    n = NurseryAccess::home(*opener);
  }
  // Another task's whole stack. The block itself lies above its frames and its closure.
  return running;
}

bool is_surely_value(const ValueBytes& bytes, std::size_t at, std::size_t size) {
  for (std::size_t i = at; i < at + sizeof(Address); ++i)
    if (bytes[i] == 0) return false;
  // A lone byte before padding may tell that the std::optional or std::variant which ends with it
  // is empty. The word would then belong to a value that is not there.
  for (std::size_t i = at + sizeof(Address); i < size; i += 4)
    if (bytes[i] != 0 && (i + 1 == size || bytes[i + 1] == 0)) return false;
  return true;
}

// The lower end is an address inside these functions, which the compiler must not put elsewhere.
[[gnu::noinline]] void check_captures(TaskBlock& task, const Nursery& nursery,
                                      const ClosureType& type) {
  const Address low = as_address(__builtin_frame_address(0));
  const std::size_t at = find_reference(task.closure, type, nursery, low);
  if (at == kNoReference) [[likely]]
    return;
  const std::exception_ptr refused = [&] {
    try {
      return std::make_exception_ptr(refusal(task.name(), task.site, nursery, at));
    } catch (...) {
      return std::current_exception();  // No memory for the text.
    }
  }();
  if (type.destroy != nullptr) type.destroy(task.closure);
  task.scheduler->discard_task(&task);
  std::rethrow_exception(refused);
}

[[gnu::noinline]] void require_lasting_captures(const void* closure, const ClosureType& type,
                                                const Nursery& nursery, std::source_location site) {
  if (!NurseryAccess::opener(nursery)->scheduler->checks_captures) return;
  const Address low = as_address(__builtin_frame_address(0));
  const std::size_t at = find_reference(closure, type, nursery, low);
  if (at != kNoReference) throw refusal(site.function_name(), site, nursery, at);
}

}  // namespace detail

void Nursery::set_body_frame(const void* frame, [[maybe_unused]] const void* local) {
  body_frame_ = frame;
#ifdef WEFT_ASAN
  // With fake frames, places are comparable only with those of other fake frames.
  if (!detail::frames_are_faked()) return;
  body_frame_ = reinterpret_cast<const void*>(detail::real_place(local));
#endif
}

}  // namespace weft::fibers
