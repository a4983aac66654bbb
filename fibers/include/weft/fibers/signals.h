// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Waiting for signals of the operating system.
//
//   open_signal_receiver({SIGHUP, SIGTERM}, [&](SignalReceiver& signals) {
//     for (const int signal : signals) {              // for ever
//       if (signal == SIGTERM) return;
//       reload_configuration();
//     }
//   });
//
// Ctrl-C alone needs none of this: it raises KeyboardInterrupt in the main task. (cancelled.h)

#pragma once

#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/fibers/detail/item_iterator.h"

namespace weft::fibers {

namespace detail {
struct SignalMailbox;
}

// What the body of open_signal_receiver() gets. For one task at a time. A resource: neither copied
// nor moved. Destroying it while a task receives ends the process.
class SignalReceiver {
 public:
  using Iterator = detail::ItemIterator<int, SignalReceiver>;

  // For open_signal_receiver(): the constructor takes the signals over, the destructor gives them
  // back.
  explicit SignalReceiver(const std::vector<int>& signals);
  SignalReceiver(const SignalReceiver&) = delete;
  SignalReceiver& operator=(const SignalReceiver&) = delete;
  ~SignalReceiver();

  // Waits for a signal and returns its number; of several, the one that came first. A signal that
  // has come several times is received once. Throws BusyResourceError while another task waits.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: no signal is lost.
  // Threads: the run's own only.
  int receive();
  // The same, in the form that loops take. It never returns nothing.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: no signal is lost.
  // Threads: the run's own only.
  std::optional<int> next() { return receive(); }
  // How many different signals have come and have not been received.
  std::size_t pending() const;

  // `for (int signal : receiver)`: each step is a receive(), and there is always another.
  //
  // Blocks: yes, each step is a checkpoint.
  // Cancel: no signal is lost.
  // Threads: the run's own only.
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  std::unique_ptr<detail::SignalMailbox> mailbox_;
  bool receiving_ = false;
};

// A callback for each signal that comes, without a task: for loops. `on_signal` runs on the
// scheduler's own stack, outside any task: it must not wait or throw. Of the same signals it comes
// before what was there before it, as a receiver does. A resource. Signals that come while it is
// being destroyed, or that it has not been told of, are dropped.
class SignalWatch {
 public:
  // Throws UsageError for what cannot be received, and on threads other than the main one.
  SignalWatch(int signal, void (*on_signal)(void* context, int signal), void* context);
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;
  ~SignalWatch();

 private:
  std::unique_ptr<detail::SignalMailbox> mailbox_;
};

// Runs `body(receiver)`. Meanwhile the process's `signals` go to the receiver instead of where they
// went before. At the end the old handlers are restored, and signals that came but were not
// received are raised again for them. Receivers may be nested, even for the same signal: the last
// one opened gets it. Returns what the body returns. Throws UsageError for an empty list, for what
// cannot be received (SIGKILL, SIGSTOP, or a number that is not a signal), and on threads other
// than the main one. (Trio: open_signal_receiver.)
//
// Blocks: only if the body does.
// Cancel: the body's affair.
// Threads: the main thread of the process, in a run.
template <class F>
auto open_signal_receiver(const std::vector<int>& signals, F&& body)
    -> std::invoke_result_t<F, SignalReceiver&> {
  SignalReceiver receiver(signals);
  return std::invoke(std::forward<F>(body), receiver);
}

}  // namespace weft::fibers
