// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/process.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <map>
#include <string>
#include <system_error>
#include <utility>

#include "fibers/src/process/spawn.h"
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

int as_returncode(const siginfo_t& info) {
  return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
}

// A zero byte would end the text for the system, and the child would get another one.
void need_text(const std::string& text, const char* what) {
  if (text.find('\0') == std::string::npos) return;
  throw UsageError(std::string(what) + " must not contain a zero byte");
}

void check_environment(const std::map<std::string, std::string>& env) {
  for (const auto& [name, value] : env) {
    need_text(name, "the name of an environment variable");
    need_text(value, "an environment variable");
    if (name.empty() || name.find('=') != std::string::npos) {
      throw UsageError("'" + name + "' cannot be the name of an environment variable");
    }
  }
}

void check_options(const std::vector<std::string>& command, const ProcessOptions& options) {
  if (command.empty()) throw UsageError("a process needs a command; its first word is the program");
  if (options.shell && command.size() != 1) {
    throw UsageError("with `shell` the command is one string: join its words and quote them");
  }
  if (options.stdin == kStdout || options.stdout == kStdout) {
    throw UsageError("kStdout can be used for stderr only");
  }
  if (options.parent_death_signal &&
      (*options.parent_death_signal < 1 || *options.parent_death_signal > SIGRTMAX)) {
    throw UsageError("there is no signal " + std::to_string(*options.parent_death_signal) +
                     " for parent_death_signal");
  }
  for (const std::string& word : command) need_text(word, "a word of a command");
  need_text(options.executable, "the program's name");
  need_text(options.cwd, "the directory's name");
  if (options.env) check_environment(*options.env);
}

}  // namespace

namespace {

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
  detail::ReaperPlace place;  // For when the process is dropped.
};

Process::Process(detail::Spawned&& spawned)
    : stdin(stream_of(spawned.ours[0])),
      stdout(stream_of(spawned.ours[1])),
      stderr(stream_of(spawned.ours[2])),
      args_(std::move(spawned.args)),
      pid_(spawned.pid),
      pidfd_(-1),
      waiting_(std::make_unique<Waiting>()) {
  if (stdin && stdout) stdio.emplace(*stdin, *stdout);
  pidfd_ = spawned.pidfd.take();  // From here on nothing throws.
  if (spawned.reaped) returncode_ = 0;
  waiting_->place.swap(spawned.place);
}

Process::~Process() {
  if (const Task* waits = waiting_->lock.statistics().owner) [[unlikely]]
    detail::destroyed_in_use("Process", this, waits, "waits for it");
  if (pidfd_ >= 0) sys::close(pidfd_);
  if (!returncode_) detail::leave_to_reaper(waiting_->place);
}

std::optional<int> Process::poll() {
  if (returncode_) return returncode_;
  siginfo_t info{};
  idtype_t by = pidfd_ < 0 ? P_PID : P_PIDFD;
  auto id = static_cast<id_t>(pidfd_ < 0 ? pid_ : pidfd_);
  while (sys::waitid(by, id, &info, WEXITED | WNOHANG) != 0) {
    if (errno == EINTR) continue;
    if (errno == EINVAL && by == P_PIDFD) {  // Linux 5.3 has pidfds, and cannot reap by them yet.
      by = P_PID;
      id = static_cast<id_t>(pid_);
      continue;
    }
    // Somebody else has reaped it, and with that the status is gone.
    if (errno != ECHILD) throw std::system_error(errno, std::generic_category(), "waitid");
    returncode_ = 0;
    break;
  }
  if (!returncode_ && info.si_pid == 0) return std::nullopt;
  if (!returncode_) returncode_ = as_returncode(info);
  // The descriptor stays open and readable: others may be waiting for it.
  return returncode_;
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
    if (pidfd_ < 0) {
      wait_for_thread();
    } else {
      wait_readable(pidfd_);
    }
  }
  return *returncode_;
}

// One thread for all that wait, whoever of them stops waiting meanwhile.
void Process::wait_for_thread() {
  if (waiting_->ended == nullptr) {
    waiting_->ended = std::make_shared<Event>();
    spawn_system_task(
        [ended = waiting_->ended, pid = pid_] {
          wait_without_pidfd(pid);
          ended->set();
        },
        {.name = "wait for a process"});
  }
  waiting_->ended->wait();
}

void Process::send_signal(int signal) {
  if (poll()) return;
  // As long as nobody has reaped it, its number cannot be another's.
  int result = pidfd_ < 0 ? -1 : sys::pidfd_send_signal(pidfd_, signal);
  if (result != 0 && (pidfd_ < 0 || errno == ENOSYS)) result = sys::kill(pid_, signal);
  if (result != 0 && errno != ESRCH) {
    throw std::system_error(errno, std::generic_category(),
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
  text += "], pid " + std::to_string(pid_);
  const std::optional<int> code = poll();
  errno = error;
  if (!code) return text + ", running>";
  if (*code < 0) return text + ", ended by signal " + std::to_string(-*code) + '>';
  return text + ", exited with " + std::to_string(*code) + '>';
}

std::unique_ptr<Process> open_process(const std::vector<std::string>& command,
                                      const ProcessOptions& options) {
  checkpoint_if_cancelled();
  check_options(command, options);
  sigset_t mask;
  sys::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  // Not abandoned when cancelled: there would be a child that nobody knows of.
  return std::make_unique<Process>(
      to_thread::run_sync([&] { return detail::spawn_process(command, options, &mask); },
                          {.thread_name = "open_process"}));
}

}  // namespace weft::fibers
