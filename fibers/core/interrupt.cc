// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/interrupt.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

#include "fibers/core/scheduler.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/detail/interrupt_action.h"

namespace weft::fibers::detail {

namespace {

std::atomic<Scheduler*> g_interrupted{nullptr};
// The main thread's runs that want to be asked: the running one and suspended ones.
int g_handlers = 0;

void on_interrupt(int signal) {
  if (Scheduler* scheduler = g_interrupted.load()) return scheduler->request_interrupt();
  // Every run is suspended: it is up to the program, whose handler is the default one.
  sys::signal(signal, SIG_DFL);
  sys::raise(signal);
}

bool on_main_thread() {
  return sys::gettid() == sys::getpid();
}

bool is_ours(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == &on_interrupt;
}

bool is_default(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL;
}

bool take_interrupt() noexcept {
  struct sigaction action {};
  action.sa_handler = &on_interrupt;
  action.sa_flags = SA_RESTART | SA_ONSTACK;  // A task's stack may be nearly full.
  return sys::sigaction(SIGINT, &action, nullptr) == 0;
}

}  // namespace

bool interrupt_is_free() noexcept {
  struct sigaction present {};
  return sys::sigaction(SIGINT, nullptr, &present) == 0 &&
         (is_ours(present) || is_default(present));
}

InterruptHandler::InterruptHandler(Scheduler& scheduler, bool wanted) {
  if (!wanted || !on_main_thread()) return;
  g_interrupted.store(&scheduler);
  // If it is not free, somebody has SIGINT who may give it back while this run lives.
  if (interrupt_is_free() && !take_interrupt()) return;
  counts_ = true;
  ++g_handlers;
  scheduler.handles_interrupt = true;
}

InterruptHandler::~InterruptHandler() {
  if (!counts_) return;
  g_interrupted.store(nullptr);
  if (--g_handlers > 0) return;
  struct sigaction present {};
  sys::sigaction(SIGINT, nullptr, &present);
  if (is_ours(present)) sys::signal(SIGINT, SIG_DFL);
}

void interrupt_was_given_back() noexcept {
  struct sigaction present {};
  if (g_handlers == 0 || sys::sigaction(SIGINT, nullptr, &present) != 0) return;
  if (is_default(present)) static_cast<void>(take_interrupt());
}

void interrupt_asks(Scheduler* scheduler) noexcept {
  g_interrupted.store(scheduler);
}

}  // namespace weft::fibers::detail
