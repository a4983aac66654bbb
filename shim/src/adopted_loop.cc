// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Tasks of run_trio in a loop that is none of open_loop's: a SyncLoop's, a Runner's, one in a
// nursery. They live in a nursery that a callback of that loop has open. Closing the loop cancels
// the callback, as all that are blocked, and with it the tasks; it ends when they have ended.

#include <exception>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "shim/src/loop_block.h"
#include "weft/fibers/lone_error.h"
#include "weft/fibers/lowlevel.h"
#include "weft/loop/future.h"

namespace weft::shim {

// The callback. One that is dropped before its turn has no block to leave behind.
struct LoopBlock::Adopted {
  std::shared_ptr<LoopBlock> block;

  explicit Adopted(std::shared_ptr<LoopBlock> adopted) : block(std::move(adopted)) {}
  Adopted(Adopted&&) noexcept = default;
  Adopted(const Adopted&) = delete;
  Adopted& operator=(const Adopted&) = delete;
  ~Adopted() {
    if (block != nullptr) block->leave_loop();
  }
  void operator()() const { block->live_beside_loop(); }
};

LoopBlock& LoopBlock::adopt(loop::EventLoop& loop) {
  auto block = std::make_shared<LoopBlock>(true);
  block->loop_ = &loop;
  block->core_ = &loop::FutureAccess::core(loop.create_future<void>()).loop();
  Adopted life(block);
  block->join_open_blocks();
  loop.call_soon(std::move(life));
  return *block;
}

void LoopBlock::live_beside_loop() {
  const absl::Cleanup closed = [this] {
    tasks_ = nullptr;
    leave_loop();
  };
  try {
    fibers::open_nursery([this](fibers::Nursery& tasks) {
      tasks_ = &tasks;
      fibers::wait_task_rescheduled(
          [this](const fibers::RaiseCancel&) {
            leave_loop();  // Now: when the tasks unwind the EventLoop may have gone.
            return fibers::Abort::kSucceeded;
          },
          {"the end of the loop", -1, this});
    });
  } catch (...) {
    // A KeyboardInterrupt ends the loop's run, as out of any callback; in a group it would not.
    const std::exception_ptr error = std::current_exception();
    if (!fibers::detail::has_interrupt_inside(error)) throw;
    std::rethrow_exception(fibers::lone_error(error, {.interrupt_first = true}));
  }
}

void LoopBlock::leave_loop() noexcept {
  if (!open_) return;
  leave_open_blocks();
  if (calls_ > 0) kept_ = shared_from_this();
}

}  // namespace weft::shim
