// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of EventLoop that watches descriptors. (asyncio.BaseSelectorEventLoop.)

#pragma once

#include <source_location>
#include <utility>

#include "weft/fibers/fd_watch.h"
#include "weft/loop/loop_scheduling.h"

namespace weft::loop {

class LoopDescriptors : public LoopScheduling {
 public:
  // Calls `fn` each iteration in which `fd` is ready (level-triggered), until removed; at once, and
  // instead of the one before, whose handle is then cancelled(). One that blocks is not entered
  // again before it returns. Remove it before you close `fd`: a copy (a dup, a child's) keeps the
  // calls coming. Add it anew if the number came back. Errors as FdWatch::arm.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  template <class F>
  Handle add_reader(int fd, F&& fn, std::source_location site = std::source_location::current()) {
    return watch(fd, fibers::FdDirection::kRead, std::forward<F>(fn), site);
  }
  template <class F, class... Given>
  requires fibers::detail::kGivesArgument<std::source_location, Given...>
  auto add_reader(int, F&&, Given&&...) {
    static_assert(fibers::detail::kMisused<F>, WEFT_TAKES_NO_ARGUMENTS);
  }
  template <class F>
  Handle add_writer(int fd, F&& fn, std::source_location site = std::source_location::current()) {
    return watch(fd, fibers::FdDirection::kWrite, std::forward<F>(fn), site);
  }
  template <class F, class... Given>
  requires fibers::detail::kGivesArgument<std::source_location, Given...>
  auto add_writer(int, F&&, Given&&...) {
    static_assert(fibers::detail::kMisused<F>, WEFT_TAKES_NO_ARGUMENTS);
  }
  // False if there was none. After it nothing is delivered, not even what is scheduled already.
  bool remove_reader(int fd);
  bool remove_writer(int fd);

 protected:
  using LoopScheduling::LoopScheduling;

 private:
  template <class F>
  Handle watch(int fd, fibers::FdDirection direction, F&& fn, std::source_location site) {
    return watch_node(fd, direction, detail::make_node(*core_, std::forward<F>(fn), site));
  }
  Handle watch_node(int fd, fibers::FdDirection direction, detail::HandleNode* node);
};

}  // namespace weft::loop
