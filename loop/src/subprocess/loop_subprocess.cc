// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/loop_subprocess.h"

#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "fibers/sys/sys.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/to_thread.h"
#include "weft/loop/detail/subprocess_core.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/subprocess_transport.h"

namespace weft::loop {

namespace detail {

// All that a thread needs to start a child.
struct ChildPlan {
  std::vector<std::string> command;
  fibers::ProcessOptions options;
  sigset_t mask;
};

}  // namespace detail

using detail::ChildPlan;
using detail::SubprocessCore;
using fibers::detail::Child;
using fibers::detail::Spawned;
namespace sys = fibers::sys;

namespace {

// In a thread, for file systems may be slow. Cancelled meanwhile or before, it leaves no child.
Spawned spawn_in_thread(const ChildPlan& plan) {
  Spawned spawned = fibers::to_thread::run_sync(
      [&plan] { return fibers::detail::spawn_process(plan.command, plan.options, &plan.mask); },
      {.thread_name = "subprocess"});
  fibers::checkpoint_if_cancelled();
  return spawned;
}

// No factory of the user's makes this task; its first step is taken at once.
template <class Fn>
auto run_in_task(detail::LoopCore& core, Fn fn) {
  using T = std::invoke_result_t<Fn&>;
  const TaskOptions options{.name = "subprocess", .eager_start = true};
  return TaskAccess::launch<T>(detail::make_task<detail::FiberTask<T, Fn>>(
                                   core, std::source_location::current(), std::move(fn), options),
                               options);
}

// Nobody gets a child whose making was cut short.
struct CloseUnlessMade {
  BaseTransport transport;
  bool made = false;
  ~CloseUnlessMade() {
    if (!made) transport.close();
  }
};

}  // namespace

std::unique_ptr<detail::ChildWatch> LoopSubprocess::watch_child(int pid) const {
  return std::make_unique<detail::ChildWatch>(*core_, std::make_shared<Child>(pid));
}

LoopSubprocess::Plan LoopSubprocess::plan_child(const Command& command,
                                                const SubprocessOptions& options, bool shell) {
  auto plan = std::make_shared<ChildPlan>(ChildPlan{
      .command = command.words(),
      .options = {.stdin = options.stdin.value_or(kPipe),
                  .stdout = options.stdout.value_or(kPipe),
                  .stderr = options.stderr.value_or(kPipe),
                  .cwd = std::string(options.cwd),
                  .env = options.env != nullptr ? std::optional(*options.env) : std::nullopt,
                  .shell = shell,
                  .executable = std::string(options.executable),
                  .pass_fds = {options.pass_fds.begin(), options.pass_fds.end()},
                  .process_group = options.process_group,
                  .start_new_session = options.start_new_session,
                  .restore_signals = options.restore_signals,
                  .parent_death_signal = options.parent_death_signal},
      .mask = {}});
  fibers::detail::check_command(plan->command, plan->options);
  sys::pthread_sigmask(SIG_BLOCK, nullptr, &plan->mask);
  return plan;
}

LoopSubprocess::Plan LoopSubprocess::plan_shell(std::string_view command,
                                                const SubprocessOptions& options) {
  return plan_child(Command(command), options, true);
}

Coro<BaseTransport> LoopSubprocess::spawn(std::shared_ptr<BaseProtocol> protocol, Plan plan) {
  auto* const core = new SubprocessCore(*core_, std::move(protocol));
  const auto transport = TransportAccess::share<BaseTransport>(*core);
  core->release();
  Task<Spawned> spawning = run_in_task(*core_, [plan] { return spawn_in_thread(*plan); });
  Spawned spawned = co_await std::move(spawning);
  Future<void> made = create_future<void>();
  core->start(std::move(spawned), made);
  CloseUnlessMade making{transport};
  co_await made;
  making.made = true;
  co_return transport;
}

}  // namespace weft::loop
