// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A child that asks to be told of its parent's death before it becomes another program, which
// posix_spawn() cannot do. Otherwise it is what the C library's posix_spawn() does: the child runs
// on this process's memory while the calling thread stands still, and puts signal handlers to their
// defaults before it lets signals through.
//
// Between its birth and its program the child is a copy of this thread without the others. So it
// allocates nothing, takes no lock, and calls the system directly: a sanitizer that notes what it
// does would note it of the parent.

#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>

#include "fibers/sys/call.h"

namespace weft::fibers::sys {

struct ChildAction {
  enum class Kind : std::uint8_t { kDup2, kClose, kCloseFrom, kChdir };
  Kind kind;
  int fd = -1;
  int to = -1;  // Of kDup2; the same as `fd`: the exec does not close it.
  const char* path = nullptr;
};

struct ChildPlan {
  const ChildAction* actions;
  std::size_t action_count;
  const char* const* programs;  // To be tried in turn; ends with a null.
  char* const* argv;
  char* const* env;
  const sigset_t* mask;      // Of the child.
  const sigset_t* defaults;  // Signals that get their default action even if they are ignored.
  const int* process_group;  // Null: the parent's.
  bool new_session;
  int death_signal;
  int pid = -1;   // Of the child, once it has been started.
  int error = 0;  // Why it has not.
};

namespace nameless {

#define WEFT_IN_CHILD __attribute__((noinline, no_sanitize("address", "thread", "undefined")))

// What SYS_rt_sigaction takes, or more, on every architecture: the first word is the handler.
struct KernelSigaction {
  unsigned long words[8];
};

WEFT_IN_CHILD inline void restore_signal(int number, bool restore_ignored) {
  constexpr std::size_t kMaskBytes = 8;
  KernelSigaction present{};
  // The C library keeps those between for itself, and leaves them ignored.
  if (number >= __SIGRTMIN && number < SIGRTMIN) {
    present.words[0] = reinterpret_cast<unsigned long>(SIG_IGN);
    ::syscall(SYS_rt_sigaction, number, &present, nullptr, kMaskBytes);
    return;
  }
  if (::syscall(SYS_rt_sigaction, number, nullptr, &present, kMaskBytes) != 0) return;
  const auto ignored = reinterpret_cast<unsigned long>(SIG_IGN);
  if (present.words[0] == 0 || (present.words[0] == ignored && !restore_ignored)) return;
  const KernelSigaction by_default{};
  ::syscall(SYS_rt_sigaction, number, &by_default, nullptr, kMaskBytes);
}

WEFT_IN_CHILD inline long act(const ChildAction& action) {
  switch (action.kind) {
    case ChildAction::Kind::kDup2:
      if (action.fd == action.to) return ::syscall(SYS_fcntl, action.fd, F_SETFD, 0);
      return ::syscall(SYS_dup3, action.fd, action.to, 0);
    case ChildAction::Kind::kClose:
      ::syscall(SYS_close, action.fd);  // There may be none.
      return 0;
    case ChildAction::Kind::kCloseFrom:
      ::closefrom(action.fd);  // Safe here, as the C library says of it.
      return 0;
    case ChildAction::Kind::kChdir:
      return ::syscall(SYS_chdir, action.path);
  }
  return 0;
}

// As execvp() searches. Returns why none of them could be loaded.
WEFT_IN_CHILD inline int exec_first(const ChildPlan& plan) {
  bool denied = false;
  for (const char* const* program = plan.programs; *program != nullptr; ++program) {
    ::syscall(SYS_execve, *program, plan.argv, plan.env);
    if (errno == EACCES) {
      denied = true;
    } else if (errno != ENOENT && errno != ENOTDIR && errno != ESTALE && errno != ENODEV &&
               errno != ETIMEDOUT) {
      return errno;
    }
  }
  return denied ? EACCES : errno;
}

// Returns only if it has failed, and then the error.
WEFT_IN_CHILD inline int become(const ChildPlan& plan, long parent) {
  for (int number = 1; number < NSIG; ++number) {
    restore_signal(number, ::sigismember(plan.defaults, number) == 1);
  }
  if (::syscall(SYS_prctl, PR_SET_PDEATHSIG, plan.death_signal, 0, 0, 0) != 0) return errno;
  // Who has died before that sends no signal.
  if (::syscall(SYS_getppid) != parent) ::syscall(SYS_exit_group, 127);
  if (plan.new_session && ::syscall(SYS_setsid) < 0) return errno;
  if (plan.process_group != nullptr && ::syscall(SYS_setpgid, 0, *plan.process_group) != 0) {
    return errno;
  }
  for (std::size_t i = 0; i < plan.action_count; ++i) {
    if (act(plan.actions[i]) < 0) return errno;
  }
  constexpr std::size_t kMaskBytes = 8;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, plan.mask, nullptr, kMaskBytes);
  return exec_first(plan);
}

// clone() by the C library's other name for it. TSan has a clone() of its own, which takes a child
// on this process's memory for a fork.
extern "C" int clone_for_child(int (*run)(void*), void* stack, int flags, void* argument,
                               ...) __asm__("__clone");

struct ChildStart {
  ChildPlan* plan;
  long parent;
};

WEFT_IN_CHILD inline int run_child(void* start) {
  auto& [plan, parent] = *static_cast<ChildStart*>(start);
  plan->error = become(*plan, parent);  // In memory that is the parent's, too.
  ::syscall(SYS_exit_group, 127);
  return 127;
}

#undef WEFT_IN_CHILD

// Returns 0 or an error. In a thread with all signals blocked, whose end is what the child takes
// for the death of its parent.
inline int start_child(ChildPlan* plan) {
  alignas(16) std::byte stack[32 * 1024];
  ChildStart start{plan, ::getpid()};
  // Returns when the child has become its program, or has ended.
  plan->pid =
      clone_for_child(&run_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &start);
  if (plan->pid < 0) return errno;
  if (plan->error == 0) return 0;
  while (::waitpid(plan->pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return plan->error;
}

}  // namespace nameless

// NOLINTNEXTLINE(readability-identifier-naming): as those of sys.h.
inline constexpr Call<&nameless::start_child, Failure::kReturnsIt> start_child{"start_child"};

}  // namespace weft::fibers::sys
