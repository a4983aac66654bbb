// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft inside somebody else's loop (Asio, libuv, GLib, Qt, a game's frame loop). The host keeps the
// thread, and the run does its work in ticks that the host calls. Each tick runs one batch of
// tasks. While nothing is ready there are no ticks.
//
// There are two ways to arrange the ticks. If other threads can post callbacks to the host's loop,
// say how; a helper thread then waits for I/O and deadlines while the run has nothing to do:
//
//   start_guest_run(main, {.done_callback = [&](Outcome<void>) { io.stop(); },
//                          .run_sync_soon_threadsafe = [&](GuestTick tick) { post(io, tick); }});
//
// If the host can wait for a descriptor, it waits for the run's, and no thread is needed:
//
//   GuestRun guest = start_guest_run(main, {.done_callback = ...});
//   pollfd poll_for{guest.pollable_fd(), POLLIN, 0};
//   while (poll(&poll_for, 1, -1), guest.tick()) {}
//
// The host may use the run between ticks: set an Event, cancel a scope, move a deadline, start a
// task in a nursery; in_trio_run() is true there, in_trio_task() is not. (Trio: start_guest_run,
// with host_uses_signal_set_wakeup_fd absent: a signal needs no help here. RunOptions says whether
// Ctrl-C is the host's.)

#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/fibers/outcome.h"
#include "weft/fibers/run.h"

namespace weft::fibers {

class Task;

namespace detail {
class Guest;
}

// One tick of a guest run, for the host to call. A value: it may be stored in any kind of callback.
class GuestTick {
 public:
  // The host's loop calls it once, outside all tasks. Throws UsageError if it is called again, or
  // on a thread other than the one that started the run. If a callback of the host throws, this
  // throws that error.
  //
  // Blocks: no.
  // Cancel: does not apply.
  // Threads: the one that started the run.
  void operator()() const;

 private:
  friend class detail::Guest;
  explicit GuestTick(std::shared_ptr<detail::Guest> guest) : guest_(std::move(guest)) {}
  std::shared_ptr<detail::Guest> guest_;
};

// A guest run; a value. If the host polls, this keeps the run alive: when the last copy goes before
// the run is over, the run is abandoned. If the host is called, the last GuestTick does the same.
// An abandoned run is reported as a warning. Its tasks neither run nor unwind any more, and their
// stacks stay. They no longer wait for anything and have left their scopes, so what they waited for
// or had entered may still be used.
class GuestRun {
 public:
  // Becomes readable, for poll, epoll and the like, when the run wants a tick. It stays open as
  // long as this object, even when the run is over; the host must neither read nor close it. Throws
  // UsageError if the run asks for its ticks through run_sync_soon_threadsafe.
  int pollable_fd() const;
  // Does what is due now, and returns false when the run is over. Does nothing if pollable_fd() is
  // not readable. Throws UsageError inside a tick, and where pollable_fd() does.
  //
  // Blocks: no.
  // Cancel: does not apply.
  // Threads: the one that started the run.
  bool tick() const;
  bool done() const;

 private:
  friend class detail::Guest;
  explicit GuestRun(std::shared_ptr<detail::Guest> guest) : guest_(std::move(guest)) {}
  std::shared_ptr<detail::Guest> guest_;
};

// For a callback of a host that polls, which ends a wait of one of the run's tasks, say. The host
// is not asked for the tick that this takes: the callback may make it itself, as the last thing
// that it does, and the tasks go on in there.
//
//   void on_answer(Question& question) {
//     TickHere here;
//     question.answered.set();
//     if (here.wanted()) here.make();
//   }
class TickHere {
 public:
  TickHere() noexcept;
  TickHere(const TickHere&) = delete;
  TickHere& operator=(const TickHere&) = delete;
  // Asks the host for a tick that is wanted and has not been made.
  ~TickHere();

  // Whether something has asked for a tick since the beginning of this object. False in a tick,
  // and while another one is on its way: what happens then, those do.
  bool wanted() const noexcept;
  // Makes it; once. Throws what the host's own callbacks throw, and UsageError if none is wanted.
  //
  // Blocks: no.
  // Cancel: does not apply.
  // Threads: the one that started the run.
  void make();

 private:
  void stop_noting() noexcept;
  bool (*as_ever_)() noexcept = nullptr;  // How the host is asked; null: this does nothing.
};

template <class T>
struct GuestOptions {
  // Called once, at the end of the last tick, with what main returned or threw; with InternalError
  // if a system task or the run itself failed. The run is gone by then, so another one may be
  // started.
  std::function<void(Outcome<T>)> done_callback;
  // Makes the host's loop call the tick soon, on the host's thread. It is called from any thread,
  // and has to wake the host if it is idle. Empty: the host polls.
  std::function<void(GuestTick)> run_sync_soon_threadsafe = {};
  // The same, but only called on the host's thread; for hosts where that is cheaper. A host that
  // polls may give this alone: it is called for what happens to the run on the host's thread, which
  // then does not make the descriptor readable.
  std::function<void(GuestTick)> run_sync_soon_not_threadsafe = {};
  RunOptions run = {};
};

namespace detail {
// reschedule() in such a callback, as the last thing that it does, and the tick for it, for the
// most usual case: the run is at leisure, so the task need not go through the queue. False in all
// other cases: nothing has been done. Not for use outside weft.
bool resume_here(Task& task);

struct GuestSetup {
  std::function<void()> main;
  std::function<void(std::exception_ptr)> done;
  std::function<void(GuestTick)> threadsafe;
  std::function<void(GuestTick)> not_threadsafe;
  RunOptions options;
};
GuestRun start_guest(GuestSetup setup);

template <class F, class T>
struct GuestMain {
  GuestMain(F&& fn, std::function<void(Outcome<T>)> callback)
      : main(std::forward<F>(fn)), done(std::move(callback)) {}
  void run() {
    if constexpr (std::is_void_v<T>) {
      std::invoke(main);
    } else {
      result.emplace(std::invoke(main));
    }
  }
  void deliver(std::exception_ptr error) {
    if (error != nullptr) {
      done(Outcome<T>::error(std::move(error)));
    } else if constexpr (std::is_void_v<T>) {
      done(Outcome<T>::value());
    } else {
      done(Outcome<T>::value(std::move(*result)));
    }
  }
  std::decay_t<F> main;
  std::function<void(Outcome<T>)> done;
  std::optional<std::conditional_t<std::is_void_v<T>, char, T>> result;
};
}  // namespace detail

// Begins a run with `main` as its first task. When this returns, `main` has not begun, but the
// thread has its run: system tasks can be started. Throws UsageError if the thread already has a
// run, or if done_callback is missing. All later errors go to done_callback.
//
// Blocks: no.
// Cancel: does not apply.
// Threads: any; its host's loop runs there.
template <class F>
GuestRun start_guest_run(F&& main, GuestOptions<std::invoke_result_t<std::decay_t<F>&>> options) {
  using T = std::invoke_result_t<std::decay_t<F>&>;
  if (!options.done_callback) throw UsageError("a guest run needs a done_callback");
  auto state = std::make_shared<detail::GuestMain<F, T>>(std::forward<F>(main),
                                                         std::move(options.done_callback));
  return detail::start_guest({.main = [state] { state->run(); },
                              .done = [state](std::exception_ptr e) { state->deliver(e); },
                              .threadsafe = std::move(options.run_sync_soon_threadsafe),
                              .not_threadsafe = std::move(options.run_sync_soon_not_threadsafe),
                              .options = std::move(options.run)});
}

}  // namespace weft::fibers
