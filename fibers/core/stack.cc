// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/stack.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <functional>
#include <new>
#include <utility>

#include "fibers/core/check.h"
#include "fibers/core/context.h"
#include "fibers/core/valgrind.h"
#include "fibers/sys/lasting.h"
#include "fibers/sys/sys.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102  // Linux 6.13; older headers lack the name.
#endif

namespace weft::fibers::detail {

namespace {

constexpr std::size_t kSmallest = 16 * 1024;
constexpr std::size_t kLargest = std::size_t{1} << 30;
// Arenas double from the first to the largest size, so that a million stacks need few mappings and
// a handful little address space.
constexpr std::size_t kFirstArena = 64;
constexpr std::size_t kLargestArenaBytes = std::size_t{16} << 30;

// From one stack of an arena to the next. A page more than it has, which nobody touches: by powers
// of two, all stacks' tops would fall into the same set of the processor's first table of pages,
// which holds a handful.
constexpr std::size_t stride(std::size_t size) {
  return size + kPageSize;
}

std::byte*& link_of(std::byte* top) {
  return *reinterpret_cast<std::byte**>(top - sizeof(std::byte*));
}

// Makes [at, at + size) trap. A guard marker costs no mapping; a protected page costs two, of which
// the system allows some 65,000. Kernels before 6.13 have no markers and say EINVAL, as they do of
// locked mappings; sandboxes say ENOSYS or EPERM.
void install_guard(std::byte* at, std::size_t size) {
  // Atomic, because every thread has a pool. Relaxed: who has not heard yet finds out by himself.
  static constinit std::atomic<bool> markers_work{true};
  if (markers_work.load(std::memory_order_relaxed)) {
    if (sys::madvise(at, size, MADV_GUARD_INSTALL) == 0) return;
    if (errno != EINVAL && errno != ENOSYS && errno != EPERM) throw std::bad_alloc();
    markers_work.store(false, std::memory_order_relaxed);
  }
  if (sys::mprotect(at, size, PROT_NONE) != 0) throw std::bad_alloc();
}

}  // namespace

#ifdef WEFT_ASAN

// Given back, and perhaps still stood on: until the next switch.
static constinit thread_local Stack tls_dead_stack{};

// A pointer to what a task had on its stack is found out at once then, and not only when the next
// tenant has written there. The pool's link stays.
static void poison(const Stack& stack) {
  std::byte* const low = stack.bottom + guard_size(stack.size);
  __asan_poison_memory_region(low,
                              static_cast<std::size_t>(stack.top() - sizeof(std::byte*) - low));
}

void bury_dead_stack() {
  if (tls_dead_stack.bottom != nullptr) poison(std::exchange(tls_dead_stack, Stack{}));
}

#endif

[[gnu::cold]] StackPool::~StackPool() {
#ifdef WEFT_ASAN
  bury_dead_stack();
  // The next mapping there starts with a clean slate.
  for (const Arena& arena : arenas_) __asan_unpoison_memory_region(arena.begin, arena.size);
#endif
  // Stacks that are out are those of abandoned runs: never unwound, so that what their tasks waited
  // for, or have entered, may still point there.
  if (statistics().in_use > 0) {
    trim(0);
    return;
  }
  for (const Arena& arena : arenas_) sys::munmap(arena.begin, arena.size);
}

[[gnu::cold]] StackPool::SizeClass& StackPool::class_for(std::size_t size) {
  WEFT_REQUIRE(size <= kLargest,
               "a task's stack may have 1 GiB at most; check TaskOptions::stack_size");
  const std::size_t rounded = std::bit_ceil(std::max(size, kSmallest));
  for (SizeClass& c : classes_) {
    if (c.size == rounded) return c;
  }
  SizeClass& c = classes_.emplace_back();
  c.size = rounded;
  c.next_arena = std::max<std::size_t>(1, std::min(kFirstArena, kLargestArenaBytes / rounded));
  return c;
}

// The frames that lived here never returned, so their red zones are still marked: those of a task
// that had this stack, or, after an arena of a thread that has ended, anything at this address.
static void forget_frames([[maybe_unused]] const Stack& stack) {
#ifdef WEFT_ASAN
  const std::size_t guard = guard_size(stack.size);
  __asan_unpoison_memory_region(stack.bottom + guard, stack.size - guard);
  if (tls_dead_stack.bottom == stack.bottom) tls_dead_stack = Stack{};
#endif
}

Stack StackPool::take(std::size_t size) {
  // Nearly every program uses one size: the first class is looked at without a search.
  SizeClass& c =
      !classes_.empty() && classes_.front().size == size ? classes_.front() : class_for(size);
  if (c.free == nullptr) [[unlikely]] {
    if (c.trimmed.empty()) return carve(c);
    link_of(c.trimmed.back()) = nullptr;
    c.free = c.trimmed.back();
    c.trimmed.pop_back();
    c.free_count = 1;
  }
  std::byte* top = c.free;
  c.free = link_of(top);
  --c.free_count;
  ++c.in_use;
  const Stack stack{top - c.size, c.size};
  forget_frames(stack);
  return stack;
}

void StackPool::give_back(Stack stack) noexcept {
  SizeClass* c = &classes_.front();
  while (c->size != stack.size) ++c;
#ifdef WEFT_ASAN
  __asan_unpoison_memory_region(stack.top() - sizeof(std::byte*), sizeof(std::byte*));
  bury_dead_stack();
  tls_dead_stack = stack;
#endif
  link_of(stack.top()) = c->free;
  c->free = stack.top();
  ++c->free_count;
  --c->in_use;
}

// Those that a small run uses are enough, and there may be a million.
[[gnu::cold]] void StackPool::put_in_order() noexcept {
  constexpr std::size_t kMost = 64;
  for (SizeClass& c : classes_) {
    std::array<std::byte*, kMost> tops;  // The highest first.
    const std::size_t count = std::min(c.free_count, kMost);
    for (auto end = tops.begin(); end != tops.begin() + count; ++end) {
      std::byte* const top = std::exchange(c.free, link_of(c.free));
      const auto place = std::upper_bound(tops.begin(), end, top, std::greater<>());
      std::move_backward(place, end, end + 1);
      *place = top;
    }
    for (std::size_t i = 0; i < count; ++i) {
      link_of(tops[i]) = c.free;
      c.free = tops[i];
    }
  }
}

[[gnu::cold]] Stack StackPool::carve(SizeClass& c) {
  if (c.fresh == c.fresh_end) grow(c);
  install_guard(c.fresh, guard_size(c.size));
  const Stack stack{c.fresh, c.size};
  tell_valgrind_of_stack(stack.bottom, stack.top());
  forget_frames(stack);
  c.fresh += stride(c.size);
  ++c.in_use;
  return stack;
}

[[gnu::cold]] void StackPool::grow(SizeClass& c) {
  c.trimmed.reserve(c.stacks + c.next_arena);
  Arena& arena = arenas_.emplace_back();
  const std::size_t bytes = c.next_arena * stride(c.size);
  // NORESERVE: only touched pages count. Without it the system refuses what it could never back.
  void* memory = sys::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) {
    arenas_.pop_back();
    throw std::bad_alloc();
  }
  // Huge pages would make each stack resident as a whole.
  sys::madvise(memory, bytes, MADV_NOHUGEPAGE);
  arena = {static_cast<std::byte*>(memory), bytes};
  c.stacks += c.next_arena;
  c.fresh = static_cast<std::byte*>(memory);
  c.fresh_end = c.fresh + bytes;
  c.next_arena = std::min(c.next_arena * 2, std::max<std::size_t>(1, kLargestArenaBytes / c.size));
}

// From the near end, although those were used last: the way to the far end may lead over a million
// stacks, each of them a page that is in no cache. If the system refuses, the memory stays.
[[gnu::cold]] void StackPool::trim(std::size_t keep, std::size_t most) noexcept {
  for (SizeClass& c : classes_) {
    for (; c.free_count > keep && most > 0; --most) {
      std::byte* const top = c.free;
      c.free = link_of(top);
      --c.free_count;
      c.trimmed.push_back(top);  // There is room: grow() has seen to that.
      sys::madvise(top - c.size + guard_size(c.size), c.size - guard_size(c.size), MADV_DONTNEED);
    }
  }
}

[[gnu::cold]] StackStatistics StackPool::statistics() const {
  StackStatistics s;
  for (const SizeClass& c : classes_) {
    s.in_use += c.in_use;
    s.pooled += c.free_count + c.trimmed.size();
  }
  s.mappings = arenas_.size();
  for (const Arena& arena : arenas_) s.bytes_reserved += arena.size;
  return s;
}

StackPool& thread_stack_pool() {
  return sys::ThreadObject<StackPool>::get();
}

std::size_t stack_high_water(const Stack& stack) {
  std::byte* const low = stack.bottom + guard_size(stack.size);
  const std::size_t pages = static_cast<std::size_t>(stack.top() - low) / kPageSize;
  std::vector<unsigned char> resident(pages);
  if (sys::mincore(low, pages * kPageSize, resident.data()) != 0) return 0;
  const auto first =
      std::find_if(resident.begin(), resident.end(), [](unsigned char c) { return c & 1; });
  return static_cast<std::size_t>(resident.end() - first) * kPageSize;
}

}  // namespace weft::fibers::detail
