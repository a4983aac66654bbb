// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/process.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <system_error>
#include <utility>

#include "fibers/sys/sys.h"
#include "weft/fibers/capacity_limiter.h"
#include "weft/fibers/detail/destroyed.h"
#include "weft/fibers/detail/outside_work.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/io.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers {

namespace {

std::optional<FdStream> stream_of(detail::PlainFd& fd) {
  return fd.get() < 0 ? std::nullopt : std::optional<FdStream>(FdStream(fd.take()));
}

// Does not reap: the number of the process stays its own until Process::poll() has looked.
void wait_in_thread(int pid) {
  CapacityLimiter own(1);  // Not one of the run's: children may outnumber those.
  // To a clock that jumps it is the child that counts, not this thread.
  const detail::OutsideWorkCounted no_thread(detail::OutsideWork::kThread, -1);
  to_thread::run_sync(
      [pid] {
        siginfo_t info{};
        while (sys::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 &&
               errno == EINTR) {
        }
      },
      {.thread_name = "waitid", .abandon_on_cancel = true, .limiter = &own});
}

// Where no thread is to be had: looks again and again, ever less often.
void wait_by_looking(int pid) {
  constexpr Duration kLongest = std::chrono::milliseconds(100);
  // A clock that jumps has to, for this to go on.
  const detail::OutsideWorkCounted no_child(detail::OutsideWork::kProcess, -1);
  for (Duration pause = std::chrono::milliseconds(1);; pause = std::min(2 * pause, kLongest)) {
    siginfo_t info{};
    const int result =
        sys::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT | WNOHANG);
    if (result == 0 ? info.si_pid != 0 : errno != EINTR) return;
    sleep(pause);
  }
}

void wait_without_pidfd(int pid) {
  try {
    return wait_in_thread(pid);
  } catch (const std::system_error&) {
    // There was no thread to be had.
  }
  wait_by_looking(pid);
}

}  // namespace

struct Process::Waiting {
  Lock lock;  // Held by the one that waits for the descriptor.
  // Without a descriptor: that a thread waits, and what for.
  std::shared_ptr<Event> ended;
};

Process::Process(detail::Spawned&& spawned)
    : stdin(stream_of(spawned.ours[0])),
      stdout(stream_of(spawned.ours[1])),
      stderr(stream_of(spawned.ours[2])),
      args_(std::move(spawned.args)),
      waiting_(std::make_unique<Waiting>()),
      child_(std::move(spawned)) {
  if (stdin && stdout) stdio.emplace(*stdin, *stdout);
}

Process::~Process() {
  if (const Task* waits = waiting_->lock.statistics().owner) [[unlikely]]
    detail::destroyed_in_use("Process", this, waits, "waits for it");
}

std::optional<int> Process::poll() {
  return child_.poll();
}

// The one with the lock waits for the child, the others for the lock. All look for themselves
// when their turn comes: the descriptor may have been ready for somebody else's child, once its
// number was his.
int Process::wait() {
  checkpoint_if_cancelled();
  if (poll()) checkpoint();
  const detail::OutsideWorkCounted awaited(detail::OutsideWork::kProcess);
  while (!poll()) {
    waiting_->lock.acquire();
    struct Release {
      Lock& lock;
      ~Release() { lock.release(); }
    } const release{waiting_->lock};
    if (poll()) break;
    if (child_.pidfd() < 0) {
      wait_for_thread();
    } else {
      wait_readable(child_.pidfd());
    }
  }
  return *child_.returncode();
}

// One thread for all that wait, whoever of them stops waiting meanwhile.
void Process::wait_for_thread() {
  if (waiting_->ended == nullptr) {
    waiting_->ended = std::make_shared<Event>();
    spawn_system_task(
        [ended = waiting_->ended, pid = pid()] {
          wait_without_pidfd(pid);
          ended->set();
        },
        {.name = "wait for a process"});
  }
  waiting_->ended->wait();
}

void Process::send_signal(int signal) {
  if (const int error = child_.send_signal(signal); error != 0) {
    errno = error;  // to_string() keeps it.
    throw std::system_error(error, std::generic_category(),
                            "signal " + std::to_string(signal) + " to " + to_string());
  }
}

void Process::terminate() {
  send_signal(SIGTERM);
}
void Process::kill() {
  send_signal(SIGKILL);
}

std::string Process::to_string() {
  const int error = errno;  // That of the call that is being reported.
  std::string text = "<Process [";
  for (const std::string& word : args_) {
    text += (&word == &args_.front() ? "'" : ", '");
    text += word + '\'';
  }
  text += "], pid " + std::to_string(pid());
  const std::optional<int> code = poll();
  errno = error;
  if (!code) return text + ", running>";
  if (*code < 0) return text + ", ended by signal " + std::to_string(-*code) + '>';
  return text + ", exited with " + std::to_string(*code) + '>';
}

std::unique_ptr<Process> open_process(const std::vector<std::string>& command,
                                      const ProcessOptions& options) {
  checkpoint_if_cancelled();
  detail::check_command(command, options);
  sigset_t mask;
  sys::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  // Not abandoned when cancelled: there would be a child that nobody knows of.
  return std::make_unique<Process>(
      to_thread::run_sync([&] { return detail::spawn_process(command, options, &mask); },
                          {.thread_name = "open_process"}));
}

}  // namespace weft::fibers
