// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/backtrace.h"

#include <unwind.h>

#include <cstdint>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/greenlet_block.h"

namespace weft::fibers {

namespace detail {

namespace {

// What the unwinder is to leave out, and to take.
struct Walk {
  std::vector<const void*>& frames;
  std::size_t most;
  std::size_t skip;
};

_Unwind_Reason_Code take_frame(_Unwind_Context* context, void* argument) {
  auto& walk = *static_cast<Walk*>(argument);
  const auto address = _Unwind_GetIP(context);
  if (address == 0) return _URC_END_OF_STACK;
  if (walk.skip > 0) {
    --walk.skip;
    return _URC_NO_REASON;
  }
  if (walk.frames.size() == walk.most) return _URC_END_OF_STACK;
  walk.frames.push_back(reinterpret_cast<const void*>(address));
  return _URC_NO_REASON;
}

// Always a frame of its own, for frames are left out by their number.
[[gnu::noinline]] void walk_from_here(void* walk) {
  _Unwind_Backtrace(&take_frame, walk);
  asm volatile("" ::: "memory");  // Keeps the call from becoming a jump.
}

}  // namespace

#if defined(__x86_64__) && !defined(WEFT_FCONTEXT)

// Calls `function(argument)` on the stack of a parked context, as if the place where it was parked
// had called it. In context_x86_64.S.
extern "C" void weft_call_on_parked(void* point, void (*function)(void*), void* argument);

static void walk_parked(const Context& parked, Walk& walk) {
  if (!has_begun(parked)) return;
  walk.skip = 2;  // walk_from_here, weft_call_on_parked.
  weft_call_on_parked(parked.point, &walk_from_here, &walk);
}

#else

// Boost.Context's frames are not described to unwinders.
static void walk_parked(const Context&, Walk&) {}

#endif

}  // namespace detail

// Room is made first: on another task's stack nothing should be allocated, or fail.
[[gnu::noinline]] std::vector<const void*> backtrace(const Task& task, std::size_t most) {
  const detail::TaskBlock& block = detail::block_of(task);
  WEFT_REQUIRE(block.scheduler == detail::tls_scheduler,
               "backtrace() of a task of another run; ask there, through its token");
  std::vector<const void*> frames;
  frames.reserve(most);
  detail::Walk walk{frames, most, 2};  // walk_from_here and this.
  if (block.present_state() == TaskState::kRunning) {
    detail::walk_from_here(&walk);
  } else {
    detail::walk_parked(block.context, walk);
  }
  return frames;
}

std::vector<const void*> Greenlet::backtrace(std::size_t most) const {
  std::vector<const void*> frames;
  const detail::GreenletThread* thread = detail::tls_greenlets;
  const bool own = thread != nullptr && block_ != nullptr && block_->link == thread->link;
  if (!own || thread->current() == block_ || !*this) return frames;
  frames.reserve(most);
  detail::Walk walk{frames, most, 0};
  detail::walk_parked(block_->context, walk);
  return frames;
}

}  // namespace weft::fibers
