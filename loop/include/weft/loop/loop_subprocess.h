// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of EventLoop that starts children, and hears of their ends. There is no task behind a
// child, and no thread where the system has pidfds. (asyncio: unix_events, base_subprocess.)
//
//   auto [transport, protocol] = co_await loop.subprocess_exec(
//       [] { return std::make_shared<Collector>(); }, {"sort", "-u"}, {.stderr = kInherit});
//
// Include subprocess_transport.h for these.

#pragma once

#include <memory>
#include <source_location>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/detail/child_watch.h"
#include "weft/loop/loop_pipes.h"

namespace weft::loop {

class Command;
class SubprocessTransport;
struct SubprocessOptions;
namespace detail {
struct ChildPlan;
}

class LoopSubprocess : public LoopPipes {
 public:
  // Calls `fn(returncode)` once, as a callback, when the child `pid` of this process has ended, in
  // whatever way it was started; at once if it has. The code is the exit status, or minus the
  // number of the signal that ended it; 255, with a warning in the log, if somebody else has
  // reaped it or there is no such child. The loop reaps it. One handler a child; cancelling the
  // handle removes it, and the child goes unreaped. (asyncio: the child watchers'
  // add_child_handler.)
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the loop's own only.
  template <class F>
  Handle add_child_handler(int pid, F&& fn,
                           std::source_location site = std::source_location::current()) {
    static_assert(std::is_invocable_v<std::decay_t<F>&, int>,
                  "the handler of a child takes its return code, an int");
    std::unique_ptr<detail::ChildWatch> watch = watch_child(pid);
    const int fd = watch->fd();
    return add_reader(
        fd, detail::CallAtExit<std::decay_t<F>>{std::move(watch), std::forward<F>(fn)}, site);
  }

  // Starts a program: subprocess_exec(factory, {"sort", "-u"}, {.stdin = kPipe}), or a vector of
  // words. `factory()` returns a std::shared_ptr to a SubprocessProtocol, whose connection_made()
  // has been called when this gives the SubprocessTransport and the protocol, as a pair. Streams
  // that are left out are kPipe. The program is looked for by this process's PATH unless its name
  // has a slash. Throws std::system_error that names the program if it cannot be started,
  // UsageError for what can be no command.
  //
  // Blocks: whoever awaits it, until the program has been loaded.
  // Cancel: kills the child.
  // Threads: the loop's own only.
  template <class F, class Words = Command, class Options = SubprocessOptions>
  auto subprocess_exec(F factory, const Words& command, const Options& options = {}) {
    return spawn_for<Options>(std::move(factory), plan_child(Command(command), options, false));
  }
  // The same of one string for /bin/sh.
  //
  // Blocks: whoever awaits it, until the shell has been loaded.
  // Cancel: kills the child.
  // Threads: the loop's own only.
  template <class F, class Options = SubprocessOptions>
  auto subprocess_shell(F factory, std::string_view command, const Options& options = {}) {
    return spawn_for<Options>(std::move(factory), plan_shell(command, options));
  }

 protected:
  using LoopPipes::LoopPipes;

 private:
  using Plan = std::shared_ptr<const detail::ChildPlan>;

  std::unique_ptr<detail::ChildWatch> watch_child(int pid) const;
  static Plan plan_child(const Command& command, const SubprocessOptions& options, bool shell);
  static Plan plan_shell(std::string_view command, const SubprocessOptions& options);
  // Options says only that what depends on it can be complete later.
  template <class Options, class F>
  auto spawn_for(F factory, Plan plan)
      -> Coro<std::pair<typename Options::Transport, std::invoke_result_t<F&>>> {
    auto protocol = factory();
    const BaseTransport transport = co_await spawn(protocol, std::move(plan));
    co_return std::pair(
        TransportAccess::share<typename Options::Transport>(TransportAccess::core(transport)),
        std::move(protocol));
  }
  Coro<BaseTransport> spawn(std::shared_ptr<BaseProtocol> protocol, Plan plan);
};

}  // namespace weft::loop
