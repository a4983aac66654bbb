// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a task's closure is to the kernel: how to make room for it, run it, destroy it, and which of
// its words are values. Not for use outside weft. Why captures are checked the way they are:
// tools/docs/adr/0014-*.

#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <functional>
#include <type_traits>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers::detail {

// Of the code that includes this, whatever the library's own is: each file has a constant of its
// own, as with assert().
#ifdef NDEBUG
constexpr bool kDebugBuild = false;
#else
constexpr bool kDebugBuild = true;
#endif

// A closure that wraps a function of the user's names that as Checked, and has it as its first
// member: nothing else in it comes from the user.
template <class F>
struct CheckedPart {
  using Type = F;
};
template <class F>
requires requires {
  typename F::Checked;
}
struct CheckedPart<F> {
  using Type = typename F::Checked;
};
template <class F>
using CheckedPartOf = typename CheckedPart<F>::Type;

// Larger closures are not checked: the check has to stay cheap, and buffers are often copied before
// all of them is written.
inline constexpr std::size_t kLargestChecked = 256;

#ifdef __has_builtin
#if __has_builtin(__builtin_clear_padding)
#define WEFT_KNOWS_PADDING 1
#endif
#endif

// For each byte of a closure: not zero if it belongs to a value, zero if it is padding.
using ValueBytes = std::array<unsigned char, kLargestChecked>;
// Whether the word at `at` is surely part of a value; in an absent std::optional it is not.
bool is_surely_value(const ValueBytes& bytes, std::size_t at, std::size_t size);

// Whether the word at byte `at` is a value that somebody has written. The rest of a closure holds
// what lay there before it, which may be an old pointer. Called for suspicious words only.
template <class F>
[[gnu::cold]] bool is_value([[maybe_unused]] std::size_t at) {
  constexpr bool kAllAreValues = std::has_unique_object_representations_v<F>;
#ifdef WEFT_KNOWS_PADDING
  if constexpr (!kAllAreValues && sizeof(F) <= kLargestChecked) {
    union Room {
      Room() {}   // NOLINT(modernize-use-equals-default): is then deleted.
      ~Room() {}  // NOLINT(modernize-use-equals-default)
      F never_built;
    } room;
    std::memset(static_cast<void*>(&room), 0xff, sizeof(room));
    __builtin_clear_padding(&room);
    ValueBytes bytes{};
    std::memcpy(bytes.data(), static_cast<const void*>(&room), sizeof(F));
    return is_surely_value(bytes, at, sizeof(F));
  }
#endif
  return kAllAreValues;
}

// How to make room for a closure on the new task's stack, and how to run and destroy it there.
struct ClosureType {
  std::size_t size;
  std::size_t align;
  void (*run_and_destroy)(void* closure);
  void (*destroy)(void* closure);    // Null if there is nothing to do.
  bool is_copied_as_bytes;           // Otherwise its constructor may leave bytes unwritten.
  std::size_t checked_size;          // Of the part at its beginning that the user has written.
  bool (*is_value)(std::size_t at);  // See above; for that part.
};

template <class F>
void run_and_destroy_closure(void* closure) {
  struct Destroyer {
    F* f;
    ~Destroyer() { f->~F(); }
  } owned{static_cast<F*>(closure)};
  static_cast<void>(std::invoke(*owned.f));
}
template <class F>
void destroy_closure(void* closure) {
  static_cast<F*>(closure)->~F();
}
template <class F>
constexpr auto destroyer_of() -> void (*)(void*) {
  if constexpr (std::is_trivially_destructible_v<F>)
    return nullptr;
  else
    return &destroy_closure<F>;
}

template <class F>
inline constexpr ClosureType kClosureType{sizeof(F),
                                          alignof(F),
                                          &run_and_destroy_closure<F>,
                                          destroyer_of<F>(),
                                          std::is_trivially_copyable_v<F>,
                                          sizeof(CheckedPartOf<F>),
                                          &is_value<CheckedPartOf<F>>};

}  // namespace weft::fibers::detail
