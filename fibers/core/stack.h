// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where the tasks' stacks come from. Each thread has a pool; each size class of a pool carves its
// stacks out of a few large mappings, guards each at its low end, and hands the one that was given
// back last out first, because its pages are warm.

#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "weft/fibers/run.h"

namespace weft::fibers::detail {

inline constexpr std::size_t kPageSize = 4096;

// One stack. `bottom` is the lowest address of the guard; usable memory is [bottom + guard, top).
struct Stack {
  std::byte* bottom = nullptr;
  std::size_t size = 0;  // Including the guard: the size class.
  std::byte* top() const { return bottom + size; }
};

// The guard of a stack of that class. More than a page, so that a frame compiled without
// -fstack-clash-protection has to be large to step over it.
constexpr std::size_t guard_size(std::size_t stack_size) {
  return stack_size >= 256 * 1024 ? 4 * kPageSize : kPageSize;
}

class StackPool {
 public:
  StackPool() = default;
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;
  ~StackPool();

  // A stack of at least `size` bytes. Throws std::bad_alloc, or UsageError for an absurd size.
  Stack take(std::size_t size);
  // The memory stays readable until the next take(): a task gives back the stack it runs on.
  void give_back(Stack stack) noexcept;
  // Gives pages of pooled stacks back to the system, beyond what a burst may soon need again. Each
  // stack is a system call: `most` bounds how long that takes.
  void trim(std::size_t keep, std::size_t most = SIZE_MAX) noexcept;
  // Whether that would give back any: what was trimmed stays pooled.
  bool worth_trimming(std::size_t keep) const noexcept {
    return std::ranges::any_of(classes_,
                               [keep](const SizeClass& c) { return c.free_count > keep; });
  }
  // Hands the next stacks out from the lowest address upwards: the same in each run that begins so.
  void put_in_order() noexcept;
  StackStatistics statistics() const;

 private:
  // A stack in the pool keeps its link in its own top word, which is warm.
  struct SizeClass {
    std::size_t size = 0;
    std::byte* free = nullptr;  // Tops, linked.
    std::size_t free_count = 0;
    // Tops of those without memory, which therefore hold no links. Taken when `free` is empty.
    std::vector<std::byte*> trimmed;
    std::size_t stacks = 0;  // In all arenas.
    std::size_t in_use = 0;
    std::byte* fresh = nullptr;  // Never used: [fresh, fresh_end) of the newest arena.
    std::byte* fresh_end = nullptr;
    std::size_t next_arena = 0;  // In stacks.
  };
  struct Arena {
    std::byte* begin;
    std::size_t size;
  };

  SizeClass& class_for(std::size_t size);
  Stack carve(SizeClass& c);
  void grow(SizeClass& c);

  std::vector<SizeClass> classes_;
  std::vector<Arena> arenas_;
};

// This thread's pool.
StackPool& thread_stack_pool();

// How many bytes below `stack.top()` have ever been touched, to the page.
std::size_t stack_high_water(const Stack& stack);

}  // namespace weft::fibers::detail
