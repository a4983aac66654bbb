// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Objects that can be used to the very end of a thread, and of the program.
//
// A static or thread_local object of a class type cannot: destructors of objects that were made
// before it run after its own, and may well call run().

#pragma once

#include <cxxabi.h>

#include <memory>
#include <new>
#include <type_traits>
#include <utility>

// The module that this code is part of: what is registered for it is called before it is unloaded.
[[gnu::visibility("hidden")]] extern void* weft_dso_handle __asm__("__dso_handle");

namespace weft::fibers::sys {

// For static objects. Its T is never destroyed.
template <class T>
class NeverDestroyed {
 public:
  NeverDestroyed() : object_() {}
  template <class Make>
  explicit NeverDestroyed(Make make) : object_(make()) {}
  NeverDestroyed(const NeverDestroyed&) = delete;
  NeverDestroyed& operator=(const NeverDestroyed&) = delete;
  ~NeverDestroyed() {}  // NOLINT: a defaulted one would be deleted.

  T& operator*() { return object_; }
  const T& operator*() const { return object_; }

 private:
  union {
    T object_;
  };
};

template <class Make>
NeverDestroyed(Make make) -> NeverDestroyed<std::invoke_result_t<Make&>>;

// One T a thread.
template <class T>
class ThreadObject {
 public:
  // This thread's. Made at its first use and destroyed with the thread's other objects; made again
  // if it is used after that, and destroyed again. Only what destructors of static objects use
  // stays: nothing of the main thread is destroyed after them.
  static T& get() {
    if (present_ == nullptr) [[unlikely]]
      make();
    return *present_;
  }

 private:
  [[gnu::cold, gnu::noinline]] static void make() {
    T* const object = ::new (static_cast<void*>(storage_)) T();
    if (abi::__cxa_thread_atexit(&destroy, nullptr, &weft_dso_handle) != 0) {
      std::destroy_at(object);
      throw std::bad_alloc();
    }
    present_ = object;
  }
  static void destroy(void*) noexcept { std::destroy_at(std::exchange(present_, nullptr)); }

  static constinit thread_local T* present_;
  alignas(T) static constinit thread_local unsigned char storage_[sizeof(T)];
};

template <class T>
constinit thread_local T* ThreadObject<T>::present_ = nullptr;
template <class T>
alignas(T) constinit thread_local unsigned char ThreadObject<T>::storage_[sizeof(T)] = {};

}  // namespace weft::fibers::sys
