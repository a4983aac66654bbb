// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of a future that depends on its type. Not for use outside weft.

#pragma once

#include <new>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/loop/detail/future_core.h"

namespace weft::loop::detail {

template <class T>
class FutureBox : public FutureCore {
 public:
  using FutureCore::FutureCore;
  using Stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
  std::optional<Stored> value;

  // Makes the value and finishes. The caller holds a reference.
  template <class... V>
  void set_value(V&&... args) {
    if constexpr (std::is_trivially_constructible_v<Stored, V...>) {
      require_pending();
      value.emplace(std::forward<V>(args)...);
      finish();
    } else if constexpr (std::is_move_constructible_v<Stored>) {
      // Built outside: somebody else may end the future while a constructor waits.
      require_pending();
      Stored built(std::forward<V>(args)...);
      put(std::move(built));
    } else {
      put(std::forward<V>(args)...);
    }
  }

 private:
  template <class... V>
  void put(V&&... args) {
    begin_value();
    try {
      value.emplace(std::forward<V>(args)...);
    } catch (...) {
      drop_value();
      throw;
    }
    finish();
  }
  void destroy() noexcept override {
    LoopCore& core = loop();
    this->~FutureBox();
    free_block(core, this, sizeof(FutureBox));
  }
};

template <class T>
FutureBox<T>* make_future_box(LoopCore& core, std::source_location site) {
  static_assert(alignof(FutureBox<T>) <= 64, "over-aligned values do not fit the pool");
  return ::new (allocate_block(core, sizeof(FutureBox<T>))) FutureBox<T>(core, site);
}

}  // namespace weft::loop::detail
