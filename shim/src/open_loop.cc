// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/shim/open_loop.h"

#include <memory>
#include <utility>

#include "shim/src/loop_block.h"
#include "weft/fibers/task.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/aio_as_trio.h"
#include "weft/shim/detail/foreign_flavour.h"
#include "weft/shim/loop_resource.h"

namespace weft::shim {

namespace detail {

static constinit thread_local const char* foreign_flavour = nullptr;

const char* set_foreign_flavour(const char* name) noexcept {
  return std::exchange(foreign_flavour, name);
}

void open_loop_erased(const std::function<void(loop::EventLoop&)>& body, bool strict) {
  std::make_shared<LoopBlock>(strict)->run(body);
}

std::shared_ptr<void> find_resource(loop::EventLoop& loop, const void* key) {
  return LoopBlock::of(loop).find_resource(key);
}

void keep_resource(loop::EventLoop& loop, const void* key, std::shared_ptr<void> resource) {
  LoopBlock::of(loop).keep_resource(key, std::move(resource));
}

void wait_while_stopped(loop::EventLoop& loop) {
  if (fibers::current_effective_deadline() == fibers::kForever) LoopBlock::of(loop).need_loop();
}

}  // namespace detail

void at_close(loop::EventLoop& loop, absl::AnyInvocable<void()> fn) {
  LoopBlock::of(loop).at_close(std::move(fn));
}

void autoclose(loop::EventLoop& loop, int fd) {
  LoopBlock::of(loop).autoclose(fd);
}
void no_autoclose(loop::EventLoop& loop, int fd) {
  LoopBlock::of(loop).no_autoclose(fd);
}

loop::EventLoop* current_loop() {
  if (loop::EventLoop* const running = loop::running_loop()) {
    const LoopBlock* const own = LoopBlock::around_body();
    return own == nullptr ? running : own->loop();
  }
  const LoopBlock* const block = LoopBlock::of_task();
  return block == nullptr ? nullptr : block->loop();
}

loop::EventLoop& require_loop() {
  loop::EventLoop* loop = current_loop();
  if (loop == nullptr) {
    throw fibers::UsageError(
        "there is no event loop here: the task is not inside the block of an open_loop, or that "
        "has "
        "been closed. Start the program with weft::run, or wrap this part in weft::open_loop");
  }
  return *loop;
}

std::string_view current_async_library() {
  if (loop::running_loop() != nullptr) return "asyncio";
  if (fibers::in_trio_task()) return "trio";
  if (detail::foreign_flavour != nullptr) return detail::foreign_flavour;
  throw fibers::UsageError("this code runs neither in a task nor in a callback of a loop");
}

}  // namespace weft::shim
