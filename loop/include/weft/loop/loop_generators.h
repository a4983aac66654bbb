// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of EventLoop that ends asynchronous generators; see async_generator.h.
// (asyncio.BaseEventLoop.)

#pragma once

#include "weft/loop/coro.h"
#include "weft/loop/loop_resolver.h"

namespace weft::loop {

class LoopGenerators : public LoopResolver {
 public:
  // Closes every generator of this loop that has begun and not ended, all at once, each in a task,
  // and returns when they have ended. What they throw goes to the exception handler, which finds
  // the generator in ExceptionContext::asyncgen. One that begins afterwards is reported to the log.
  // Await it before the loop is closed.
  //
  // Blocks: whoever awaits it, until the last one has ended.
  // Cancel: cancels those that are being closed.
  // Threads: the loop's own only.
  Coro<void> shutdown_asyncgens();

 protected:
  using LoopResolver::LoopResolver;
};

}  // namespace weft::loop
