// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/overflow.h"

#include <sys/mman.h>

#include <csignal>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/greenlet_block.h"
#include "fibers/core/raw_line.h"
#include "fibers/core/sanitizers.h"
#include "fibers/sys/lasting.h"
#include "fibers/sys/sys.h"

namespace weft::fibers::detail {

#ifdef WEFT_ASAN

// It reports overflows itself, and better.
void install_overflow_handler() {
  name_tasks_in_reports();
}

#else

namespace {

constexpr std::size_t kSignalStack = 64 * 1024;

struct sigaction g_before {};

// The running task, if `address` lies in the guard of its stack.
const TaskBlock* overflowing_task(const void* address) {
  if (tls_scheduler == nullptr) return nullptr;
  const TaskBlock* task = tls_scheduler->running();
  if (task == nullptr) return nullptr;
  const auto* at = static_cast<const std::byte*>(address);
  const Stack& stack = task->stack;
  return at >= stack.bottom && at < stack.bottom + guard_size(stack.size) ? task : nullptr;
}

// The size of the running greenlet's stack, if `address` lies in its guard; else 0.
std::size_t overflowing_greenlet(const void* address) {
  if (tls_greenlets == nullptr) return 0;
  const Stack& stack = tls_greenlets->current()->stack;
  const auto* at = static_cast<const std::byte*>(address);
  const bool in_guard = at >= stack.bottom && at < stack.bottom + guard_size(stack.size);
  return stack.bottom != nullptr && in_guard ? stack.size - guard_size(stack.size) : 0;
}

void on_fault(int signal, siginfo_t* info, void* context) {
  if (const TaskBlock* task = overflowing_task(info->si_addr)) {
    RawLine line;
    line << "weft: task '" << task->name() << "' overflowed its stack of "
         << (task->stack.size - guard_size(task->stack.size)) / 1024 << " KiB (started at "
         << task->site
         << "); give it a larger one with TaskOptions::stack_size or RunOptions::stack_size\n";
    line.write();
  } else if (const std::size_t size = overflowing_greenlet(info->si_addr)) {
    RawLine line;
    line << "weft: a greenlet overflowed its stack of " << size / 1024
         << " KiB; give it a larger one with GreenletOptions::stack_size\n";
    line.write();
  } else if ((g_before.sa_flags & SA_SIGINFO) != 0) {
    g_before.sa_sigaction(signal, info, context);
    return;
  } else if (g_before.sa_handler != SIG_DFL && g_before.sa_handler != SIG_IGN) {
    g_before.sa_handler(signal);
    return;
  }
  // Returning repeats the fault, now with the default action: a core dump with the true registers.
  // A signal that was sent, by raise() say, has to be sent again.
  sys::signal(signal, SIG_DFL);
  if (info->si_code <= 0) sys::raise(signal);
}

struct SignalStack {
  SignalStack() {
    stack_t present{};
    if (sys::sigaltstack(nullptr, &present) == 0 && (present.ss_flags & SS_DISABLE) == 0) return;
    memory = sys::mmap(nullptr, kSignalStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                       -1, 0);
    if (memory == MAP_FAILED) return;
    stack_t wanted{};
    wanted.ss_sp = memory;
    wanted.ss_size = kSignalStack;
    sys::sigaltstack(&wanted, nullptr);  // Without it an overflow is a SIGSEGV without words.
  }
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;
  ~SignalStack() {
    if (memory == MAP_FAILED) return;
    stack_t off{};
    off.ss_flags = SS_DISABLE;
    sys::sigaltstack(&off, nullptr);
    sys::munmap(memory, kSignalStack);
  }
  void* memory = MAP_FAILED;
};

}  // namespace

void install_overflow_handler() {
  static_cast<void>(sys::ThreadObject<SignalStack>::get());
  [[maybe_unused]] static const bool once = [] {
    struct sigaction action {};
    action.sa_sigaction = &on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    return sys::sigaction(SIGSEGV, &action, &g_before) == 0;
  }();
}

#endif

}  // namespace weft::fibers::detail
