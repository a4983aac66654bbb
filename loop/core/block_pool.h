// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Memory for nodes and futures: blocks of a few sizes, taken from slabs and kept for the next one.

#pragma once

#include <array>
#include <cstddef>
#include <new>
#include <vector>

#include "weft/fibers/detail/sanitizers.h"

namespace weft::loop::detail {

// Single-threaded. Grows to the most that was ever in use, and gives back when it is destroyed.
// Under AddressSanitizer every block is the heap's own, so that a use after free is seen.
class BlockPool {
 public:
  static constexpr std::size_t kUnit = 64;
  static constexpr std::size_t kClasses = 8;

  BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();

  // Aligned to 64 bytes.
  void* take(std::size_t size) {
    const std::size_t index = (size - 1) / kUnit;
    if (index < kClasses) {
      if (Free* block = free_[index]) {
        free_[index] = block->next;
        return block;
      }
    }
    return take_slowly(size);
  }
  void give(void* block, std::size_t size) noexcept {
    const std::size_t index = (size - 1) / kUnit;
    if (index < kClasses && kPooled) {
      free_[index] = ::new (block) Free{free_[index]};
    } else {
      give_slowly(block, size);
    }
  }

 private:
  struct Free {
    Free* next;
  };
#ifdef WEFT_ASAN
  static constexpr bool kPooled = false;
#else
  static constexpr bool kPooled = true;
#endif

  void* take_slowly(std::size_t size);
  void give_slowly(void* block, std::size_t size) noexcept;

  std::array<Free*, kClasses> free_{};
  std::vector<void*> slabs_;
};

}  // namespace weft::loop::detail
