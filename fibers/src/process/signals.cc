// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/signals.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <deque>
#include <string>
#include <thread>

#include "fibers/sys/lasting.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/detail/destroyed.h"
#include "weft/fibers/detail/interrupt_action.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/token.h"

namespace weft::fibers {

namespace {

constexpr std::size_t kSignals = 65;  // Linux counts from 1 to 64.

}  // namespace

namespace detail {

// One signal's way to one mailbox. A signal's subscriptions form a stack.
struct Subscription {
  int signal;
  SignalMailbox* mailbox;
  Subscription* below = nullptr;
  struct sigaction before {};  // What `below` had in place, or the program.
};

struct SignalMailbox {
  explicit SignalMailbox(std::uint64_t its_id) : id(its_id) {}

  // --- Any thread, in a handler. ---
  const std::uint64_t id;
  const Token token = current_token();
  std::atomic<std::uint64_t> count{0};
  // By signal: which it was of all that came, from 1; 0 if it is not pending.
  std::array<std::atomic<std::uint64_t>, kSignals> arrival{};
  std::atomic<bool> wake_submitted{false};

  // --- The run's thread. ---
  Task* waiting = nullptr;
  void (*on_signal)(void*, int) = nullptr;  // Instead of a receiver.
  void* context = nullptr;
  std::deque<Subscription> subscriptions;  // Handlers hold pointers into it.

  void arrive(int signal);
  std::size_t pending() const;
  int take_first();
};

}  // namespace detail

namespace {

using detail::SignalMailbox;
using detail::Subscription;

// The top of each signal's stack. Changed by the main thread, read by handlers on any.
std::array<std::atomic<Subscription*>, kSignals> g_top{};
// Handlers that may be using a subscription right now.
std::atomic<int> g_in_handlers{0};

// The main thread's own. Never destroyed: runs in destructors of static objects may use it.
std::vector<SignalMailbox*>& open_mailboxes() {
  static sys::NeverDestroyed<std::vector<SignalMailbox*>> all;
  return *all;
}

void on_signal(int signal) {
  g_in_handlers.fetch_add(1);
  if (Subscription* top = g_top[static_cast<std::size_t>(signal)].load()) {
    top->mailbox->arrive(signal);
  }
  g_in_handlers.fetch_sub(1);
}

SignalMailbox* find_mailbox(std::uint64_t id) {
  const auto& all = open_mailboxes();
  const auto found = std::ranges::find_if(all, [id](const auto* one) { return one->id == id; });
  return found == all.end() ? nullptr : *found;
}

// Called by way of the run: the mailbox may be gone by then, and after each callback.
void deliver(std::uint64_t id) {
  SignalMailbox* mailbox = find_mailbox(id);
  if (mailbox == nullptr) return;
  mailbox->wake_submitted.store(false);  // First: what comes from here on submits another.
  if (mailbox->waiting != nullptr) reschedule(*std::exchange(mailbox->waiting, nullptr));
  while (mailbox != nullptr && mailbox->on_signal != nullptr) {
    const int signal = mailbox->take_first();
    if (signal == 0) return;
    mailbox->on_signal(mailbox->context, signal);
    mailbox = find_mailbox(id);
  }
}

[[noreturn]] void refuse(int signal) {
  const std::string number = std::to_string(signal);
  throw UsageError("signal " + number +
                   " cannot be caught: the system does not let a program handle it");
}

void subscribe(SignalMailbox& mailbox, int signal) {
  if (signal <= 0 || static_cast<std::size_t>(signal) >= kSignals) refuse(signal);
  auto& top = g_top[static_cast<std::size_t>(signal)];
  Subscription& added = mailbox.subscriptions.emplace_back();
  added.signal = signal;
  added.mailbox = &mailbox;
  added.below = top.load();
  struct sigaction action {};
  action.sa_handler = &on_signal;
  action.sa_flags = SA_RESTART | SA_ONSTACK;  // A task's stack may be nearly full.
  // Before the handler is in place, or the first signal would find nobody.
  top.store(&added);
  if (sys::sigaction(signal, &action, &added.before) != 0) {
    top.store(added.below);
    mailbox.subscriptions.pop_back();
    refuse(signal);
  }
}

void unsubscribe(Subscription& gone) {
  auto& top = g_top[static_cast<std::size_t>(gone.signal)];
  if (top.load() == &gone) {
    sys::sigaction(gone.signal, &gone.before, nullptr);
    top.store(gone.below);
    if (gone.signal == SIGINT) detail::interrupt_was_given_back();
    return;
  }
  // Somebody else has put a receiver on top, and is still there: leave it our place.
  Subscription* above = top.load();
  while (above->below != &gone) above = above->below;
  above->before = gone.before;
  above->below = gone.below;
}

void close_mailbox(SignalMailbox& mailbox) {
  std::for_each(mailbox.subscriptions.rbegin(), mailbox.subscriptions.rend(), &unsubscribe);
  std::erase(open_mailboxes(), &mailbox);
  // A handler on another thread may have seen a subscription just before it went.
  while (g_in_handlers.load() != 0) std::this_thread::yield();
}

bool on_main_thread() {
  return sys::gettid() == sys::getpid();
}

}  // namespace

void SignalMailbox::arrive(int signal) {
  std::uint64_t not_pending = 0;
  auto& place = arrival[static_cast<std::size_t>(signal)];
  if (!place.compare_exchange_strong(not_pending, count.fetch_add(1) + 1)) return;
  // One call under way at a time: the queue has room for so many without allocating.
  if (wake_submitted.exchange(true)) return;
  token.run_sync_soon([number = id] { deliver(number); });
}

std::size_t SignalMailbox::pending() const {
  return static_cast<std::size_t>(
      std::count_if(arrival.begin(), arrival.end(), [](const auto& at) { return at.load() != 0; }));
}

// 0 if there is none. The one that has waited longest, so that none starves another.
int SignalMailbox::take_first() {
  std::uint64_t first = 0;
  std::size_t signal = 0;
  for (std::size_t i = 1; i < kSignals; ++i) {
    const std::uint64_t at = arrival[i].load();
    if (at == 0 || (first != 0 && at > first)) continue;
    first = at;
    signal = i;
  }
  arrival[signal].store(0);
  return static_cast<int>(signal);
}

static std::unique_ptr<SignalMailbox> open_mailbox(const std::vector<int>& signals) {
  static std::uint64_t last_id = 0;
  if (!on_main_thread()) {
    throw UsageError(
        "signals are received on the main thread of the process only; receive them there and pass "
        "on what comes");
  }
  auto mailbox = std::make_unique<SignalMailbox>(++last_id);
  open_mailboxes().push_back(mailbox.get());
  try {
    for (std::size_t i = 0; i < signals.size(); ++i) {
      const auto earlier = signals.begin() + static_cast<std::ptrdiff_t>(i);
      if (std::find(signals.begin(), earlier, signals[i]) == earlier) {
        subscribe(*mailbox, signals[i]);
      }
    }
  } catch (...) {
    close_mailbox(*mailbox);
    throw;
  }
  return mailbox;
}

SignalReceiver::SignalReceiver(const std::vector<int>& signals) {
  if (signals.empty()) throw UsageError("open_signal_receiver() needs at least one signal");
  mailbox_ = open_mailbox(signals);
}

// A signal that comes before this returns submits a call to the run, which comes later.
SignalWatch::SignalWatch(int signal, void (*on_signal)(void*, int), void* context)
    : mailbox_(open_mailbox({signal})) {
  mailbox_->on_signal = on_signal;
  mailbox_->context = context;
}

SignalWatch::~SignalWatch() {
  close_mailbox(*mailbox_);
}

SignalReceiver::~SignalReceiver() {
  if (receiving_) [[unlikely]]
    detail::destroyed_in_use("SignalReceiver", this, mailbox_->waiting, "receives from it");
  close_mailbox(*mailbox_);
  while (const int left = mailbox_->take_first()) sys::raise(left);
}

std::size_t SignalReceiver::pending() const {
  return mailbox_->pending();
}

int SignalReceiver::receive() {
  checkpoint_if_cancelled();
  if (receiving_) {
    throw BusyResourceError(
        "another task is receiving these signals already; let one task receive them and tell the "
        "others");
  }
  receiving_ = true;
  struct Done {
    bool& flag;
    ~Done() { flag = false; }
  } const done{receiving_};
  if (pending() > 0) checkpoint();
  while (pending() == 0) {
    mailbox_->waiting = &current_task();
    wait_task_rescheduled(
        [this](const RaiseCancel&) {
          mailbox_->waiting = nullptr;
          return Abort::kSucceeded;
        },
        {.what = "signal"});
  }
  return mailbox_->take_first();
}

}  // namespace weft::fibers
