// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of EventLoop that handles signals. (asyncio: unix_events.)

#pragma once

#include <source_location>
#include <utility>

#include "weft/fibers/detail/misuse.h"
#include "weft/loop/loop_descriptors.h"

namespace weft::loop {

class LoopSignals : public LoopDescriptors {
 public:
  // Calls `fn` in the loop, as any callback, when the process gets `signal`; instead of the
  // callback before, whose handle is then cancelled(). Signals that come before it has run count as
  // one; one that comes while it runs, or blocks, calls it again. Throws UsageError for SIGKILL,
  // SIGSTOP and what is no signal, and on threads other than the main one. While SIGINT has a
  // handler Ctrl-C raises nothing. (asyncio: add_signal_handler.)
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own, the main thread of the process.
  template <class F>
  Handle add_signal_handler(int signal, F&& fn,
                            std::source_location site = std::source_location::current()) {
    return add_signal_node(signal, detail::make_node(*core_, std::forward<F>(fn), site));
  }
  template <class F, class... Given>
  requires fibers::detail::kGivesArgument<std::source_location, Given...>
  auto add_signal_handler(int, F&&, Given&&...) {
    static_assert(fibers::detail::kMisused<F>, WEFT_TAKES_NO_ARGUMENTS);
  }
  // False if there was none. What the signal did before is restored: the default, KeyboardInterrupt
  // for SIGINT. close() removes all.
  bool remove_signal_handler(int signal);

 protected:
  using LoopDescriptors::LoopDescriptors;

 private:
  Handle add_signal_node(int signal, detail::HandleNode* node);
};

}  // namespace weft::loop
