// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/watchdog.h"

#include <pthread.h>
#include <semaphore.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <mutex>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "fibers/sys/sys.h"
#include "weft/fibers/backtrace.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/log.h"
#include "weft/fibers/lowlevel.h"

namespace weft::fibers {

namespace {

// How long a thread may take for a signal: a system call that cannot be interrupted holds it up.
constexpr int kSecondsForSignal = 1;

// What the handler finds. Written by it alone between the sending and the semaphore, without the
// heap and without locks: the thread may be anywhere.
struct Sighting {
  pid_t thread = 0;
  std::uint64_t task_id = 0;
  std::uint32_t waits = 0;  // How often the task had come to a wait.
  std::array<char, 256> name{};
  std::size_t name_size = 0;
  std::array<const void*, 64> frames{};
  std::size_t frame_count = 0;
  sem_t taken{};

  bool same_step(const Sighting& other) const {
    return task_id == other.task_id && waits == other.waits;
  }
};

// What the next signal is for; the handler takes it away. Under g_asking.
std::atomic<Sighting*> g_wanted{nullptr};
std::mutex g_asking;
// Who had the signal before. By number; written before the handler is there, and then constant.
std::array<struct sigaction, NSIG> g_before{};

const void* interrupted_at([[maybe_unused]] const void* context) {
#if defined(__x86_64__)
  const auto* place = static_cast<const ucontext_t*>(context);
  return reinterpret_cast<const void*>(place->uc_mcontext.gregs[REG_RIP]);
#else
  return nullptr;
#endif
}

struct Walk {
  Sighting& into;
  const void* from;  // The frames of the handler come before this one.
};

_Unwind_Reason_Code take_frame(_Unwind_Context* context, void* argument) {
  const auto& walk = *static_cast<Walk*>(argument);
  Sighting& into = walk.into;
  const auto* address = reinterpret_cast<const void*>(_Unwind_GetIP(context));
  if (address == nullptr || into.frame_count == into.frames.size()) return _URC_END_OF_STACK;
  if (walk.from != nullptr && into.frame_count == 0 && address != walk.from) return _URC_NO_REASON;
  into.frames[into.frame_count++] = address;
  return _URC_NO_REASON;
}

void note(Sighting& into, const void* context) {
  into.task_id = 0;
  into.waits = 0;
  into.name_size = 0;
  into.frame_count = 0;
  if (in_trio_task()) {
    const Task& task = current_task();
    into.task_id = task.id();
    into.waits = checkpoint_counts().schedule_points;
    const std::string_view name = task.name();
    into.name_size = std::min(name.size(), into.name.size());
    std::memcpy(into.name.data(), name.data(), into.name_size);
  }
  Walk walk{into, interrupted_at(context)};
  // With glibc 2.35 and later it finds its tables without a lock.
  _Unwind_Backtrace(&take_frame, &walk);
  if (into.frame_count == 0) {  // A sanitizer calls handlers later, from elsewhere.
    walk.from = nullptr;
    _Unwind_Backtrace(&take_frame, &walk);
  }
  // Others' addresses are those to return to, and are looked up one byte before.
  if (walk.from != nullptr) into.frames[0] = static_cast<const char*>(into.frames[0]) + 1;
}

void on_signal(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  Sighting* wanted = g_wanted.load();
  if (wanted != nullptr && wanted->thread == sys::gettid() &&
      g_wanted.compare_exchange_strong(wanted, nullptr)) {
    note(*wanted, context);
    sys::sem_post(&wanted->taken);
  } else {
    const struct sigaction& before = g_before[static_cast<std::size_t>(signal)];
    if ((before.sa_flags & SA_SIGINFO) != 0) {
      before.sa_sigaction(signal, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
      before.sa_handler(signal);
    }
  }
  errno = error;
}

// Once for each signal, for good: one that is on its way would else meet the default action.
void install_handler(int signal) {
  static std::array<bool, NSIG> installed{};
  const std::lock_guard lock(g_asking);
  if (signal < 0 || signal >= NSIG) {
    throw std::system_error(EINVAL, std::generic_category(), "WatchdogOptions::signal");
  }
  const auto number = static_cast<std::size_t>(signal);
  if (installed[number]) return;
  struct sigaction action {};
  action.sa_sigaction = &on_signal;
  // On the thread's signal stack: a task's own may be nearly used up.
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  if (sys::sigaction(signal, nullptr, &g_before[number]) != 0 ||
      sys::sigaction(signal, &action, nullptr) != 0) {
    throw std::system_error(errno, std::generic_category(), "WatchdogOptions::signal");
  }
  installed[number] = true;
}

// Lets the thread note where it is. False if it did not come to it.
bool ask(Sighting& sighting, int signal) {
  const std::lock_guard lock(g_asking);
  g_wanted.store(&sighting);
  bool asked = sys::tgkill(sys::getpid(), sighting.thread, signal) == 0;
  timespec until{};
  ::clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += kSecondsForSignal;
  while (asked) {
    if (sys::sem_timedwait(&sighting.taken, &until) == 0) return true;
    asked = errno == EINTR;
  }
  Sighting* mine = &sighting;
  if (g_wanted.compare_exchange_strong(mine, nullptr)) return false;
  while (sys::sem_wait(&sighting.taken) != 0) {  // The handler is at it.
  }
  return true;
}

Duration machine_time() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

}  // namespace

class Watchdog::Dog {
 public:
  explicit Dog(WatchdogOptions options) : options_(std::move(options)) {
    if (options_.limit <= Duration::zero()) {
      throw UsageError("the limit of a Watchdog must be above zero");
    }
    if (options_.signal == 0) options_.signal = SIGURG;
    has_thread_ = !options_.clock;
    if (has_thread_) options_.clock = &machine_time;
    if (!options_.report) {
      options_.report = [](const HogReport& hog) { log(LogLevel::kWarning, hog.describe()); };
    }
    install_handler(options_.signal);
    for (Sighting* s : {&suspect_, &present_}) ::sem_init(&s->taken, 0, 0);
  }
  Dog(const Dog&) = delete;
  Dog& operator=(const Dog&) = delete;
  ~Dog() {
    detach();
    for (Sighting* s : {&suspect_, &present_}) ::sem_destroy(&s->taken);
  }

  // --- The run's thread. ---
  void attach() {
    if (attached_) return;
    attached_ = true;
    thread_.store(sys::gettid());
    if (has_thread_) start_helper();
  }
  void detach() {
    {
      const std::lock_guard lock(looking_);
      attached_ = false;
      thread_.store(0);
    }
    changed_.notify_all();
    if (helper_.joinable()) helper_.join();
  }
  void begins_to_sleep() { asleep_.store(true, std::memory_order_relaxed); }
  // Relaxed: the dog may be wrong about the last instant, and looks twice.
  void has_looked() {
    asleep_.store(false, std::memory_order_relaxed);
    turns_.store(turns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  void look() {
    std::unique_lock lock(looking_);
    const pid_t thread = thread_.load();
    const std::uint64_t turns = turns_.load(std::memory_order_relaxed);
    if (thread == 0 || asleep_.load(std::memory_order_relaxed)) {
      stage_ = Stage::kFresh;
    } else if (stage_ == Stage::kFresh || turns != turns_seen_) {
      turns_seen_ = turns;
      stage_ = Stage::kSuspicious;
    } else if (stage_ == Stage::kSuspicious) {
      suspect_.thread = thread;
      suspect_since_ = options_.clock();
      if (ask(suspect_, options_.signal)) stage_ = Stage::kHasSuspect;
    } else if (stage_ == Stage::kHasSuspect) {
      const std::optional<HogReport> hog = confirm(thread);
      lock.unlock();
      if (hog) options_.report(*hog);
    }
  }

 private:
  // Of one turn of the run: not looked at, seen once, suspect known, reported.
  enum class Stage : std::uint8_t { kFresh, kSuspicious, kHasSuspect, kReported };

  std::optional<HogReport> confirm(pid_t thread) {
    const Duration now = options_.clock();
    if (now - suspect_since_ < options_.limit) return std::nullopt;
    present_.thread = thread;
    if (!ask(present_, options_.signal)) return std::nullopt;
    if (!present_.same_step(suspect_)) {
      suspect_.task_id = present_.task_id;
      suspect_.waits = present_.waits;
      suspect_since_ = now;
      return std::nullopt;
    }
    stage_ = Stage::kReported;
    HogReport hog{.task = std::string(present_.name.data(), present_.name_size),
                  .task_id = present_.task_id,
                  .at_least = now - suspect_since_,
                  .backtrace = {}};
    hog.backtrace.assign(
        present_.frames.begin(),
        present_.frames.begin() + static_cast<std::ptrdiff_t>(present_.frame_count));
    return hog;
  }

  // Signals are the program's business, and go to its threads.
  void start_helper() {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    sys::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      helper_ = sys::thread([this] { watch(); });
    } catch (...) {
      sys::pthread_sigmask(SIG_SETMASK, &before, nullptr);
      throw;
    }
    sys::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void watch() {
    sys::pthread_setname_np(::pthread_self(), "weft watchdog");
    for (;;) {
      {
        std::unique_lock lock(looking_);
        const bool over =
            changed_.wait_for(lock, options_.limit / 4, [this] { return thread_.load() == 0; });
        if (over) return;
      }
      look();
    }
  }

  WatchdogOptions options_;
  bool has_thread_ = false;
  bool attached_ = false;
  std::thread helper_;

  // --- Written by the run, read by who looks. ---
  std::atomic<pid_t> thread_{0};  // 0: no run.
  std::atomic<bool> asleep_{false};
  std::atomic<std::uint64_t> turns_{0};  // How often the run has looked for I/O.

  // --- Who looks. ---
  std::mutex looking_;
  std::condition_variable changed_;
  Stage stage_ = Stage::kFresh;
  std::uint64_t turns_seen_ = 0;
  Duration suspect_since_{};
  Sighting suspect_;
  Sighting present_;
};

std::string HogReport::describe() const {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(at_least).count();
  std::string text =
      task_id == 0 ? "a call outside all tasks" : "task '" + task + "' #" + std::to_string(task_id);
  text += " has kept the thread for " + std::to_string(ms) + " ms without a wait:";
  for (const void* address : backtrace) {
    for (const std::string& line : describe_frame(address)) text += "\n  " + line;
  }
  return text;
}

Watchdog::Watchdog(WatchdogOptions options) : dog_(std::make_unique<Dog>(std::move(options))) {}
Watchdog::~Watchdog() = default;

void Watchdog::look() {
  dog_->look();
}
void Watchdog::before_run() {
  dog_->attach();
}
void Watchdog::after_run() {
  dog_->detach();
}
// Also where it begins, if it was added to a run that goes on.
void Watchdog::before_io_wait(Duration timeout) {
  dog_->attach();
  if (timeout > Duration::zero()) dog_->begins_to_sleep();
}
void Watchdog::after_io_wait(Duration /*timeout*/) {
  dog_->has_looked();
}

}  // namespace weft::fibers
