// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Which thread this is, and the way into a run from another one.

#pragma once

#include <new>
#include <thread>
#include <utility>

#include "weft/fibers/errors.h"
#include "weft/fibers/token.h"

namespace weft::cpp20::detail {

// Its address tells threads apart without a system call.
inline const void* thread_mark() noexcept {
  static thread_local const char mark = 0;
  return &mark;
}

// Lets the run call `fn`; not if it is over. What a std::stop_token says must not be lost, so that
// a lack of memory is waited out.
template <class F>
void post(const fibers::Token& run, F fn) noexcept {
  static_assert(fibers::detail::kFitsInSlot<F>);
  for (;;) {
    try {
      return run.run_sync_soon(std::move(fn));
    } catch (const fibers::RunFinishedError&) {
      return;
    } catch (const std::bad_alloc&) {
      std::this_thread::yield();
    }
  }
}

}  // namespace weft::cpp20::detail
