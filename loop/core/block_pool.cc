// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "loop/core/block_pool.h"

#include <new>

namespace weft::loop::detail {

namespace {
constexpr std::size_t kSlab = 16 * 1024;
constexpr std::align_val_t kAlign{BlockPool::kUnit};
}  // namespace

BlockPool::~BlockPool() {
  for (void* slab : slabs_) ::operator delete(slab, kAlign);
}

void* BlockPool::take_slowly(std::size_t size) {
  const std::size_t index = (size - 1) / kUnit;
  if (index >= kClasses || !kPooled) return ::operator new(size, kAlign);
  slabs_.push_back(nullptr);  // What can fail comes first; null is nothing to give back.
  auto* slab = static_cast<std::byte*>(::operator new(kSlab, kAlign));
  slabs_.back() = slab;
  const std::size_t step = (index + 1) * kUnit;
  for (std::size_t at = kSlab / step * step; at > step; at -= step) {
    free_[index] = ::new (static_cast<void*>(slab + at - step)) Free{free_[index]};
  }
  return slab;
}

void BlockPool::give_slowly(void* block, std::size_t size) noexcept {
  static_cast<void>(size);
  ::operator delete(block, kAlign);
}

}  // namespace weft::loop::detail
