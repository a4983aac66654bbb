// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/detail/child.h"

#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <map>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include "fibers/sys/lasting.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/process.h"

namespace weft::fibers::detail {

namespace {

std::mutex g_left_mutex;

// Children that have been dropped. Never destroyed: static objects may hold a Process.
ReaperPlace& left_children() {
  static sys::NeverDestroyed<ReaperPlace> left;
  return *left;
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

}  // namespace

void check_command(const std::vector<std::string>& command, const ProcessOptions& options) {
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

PlainFd& PlainFd::operator=(PlainFd&& other) noexcept {
  const int before = std::exchange(fd_, other.take());
  if (before >= 0) sys::close(before);
  return *this;
}

PlainFd::~PlainFd() {
  if (fd_ >= 0) sys::close(fd_);
}

Spawned::~Spawned() {
  if (place.empty() || place.front() < 0 || reaped) return;
  sys::kill(place.front(), SIGKILL);
  leave_to_reaper(place);
}

Child::Child(Spawned&& spawned) noexcept : pid_(spawned.pid), pidfd_(std::move(spawned.pidfd)) {
  if (spawned.reaped) {
    returncode_ = 0;
    lost_ = true;
  }
  place_.swap(spawned.place);
}

Child::Child(int pid) : pid_(pid), pidfd_(sys::pidfd_open(pid)) {}

Child::~Child() {
  if (!returncode_ && !place_.empty()) leave_to_reaper(place_);
}

std::optional<int> Child::poll() {
  if (returncode_) return returncode_;
  siginfo_t info{};
  idtype_t by = pidfd_.get() < 0 ? P_PID : P_PIDFD;
  auto id = static_cast<id_t>(pidfd_.get() < 0 ? pid_ : pidfd_.get());
  while (sys::waitid(by, id, &info, WEXITED | WNOHANG) != 0) {
    if (errno == EINTR) continue;
    if (errno == EINVAL && by == P_PIDFD) {  // Linux 5.3 has pidfds, and cannot reap by them yet.
      by = P_PID;
      id = static_cast<id_t>(pid_);
      continue;
    }
    if (errno != ECHILD) throw std::system_error(errno, std::generic_category(), "waitid");
    lost_ = true;
    return returncode_ = lost_status_;
  }
  if (info.si_pid == 0) return std::nullopt;
  // The descriptor stays open and readable: others may be waiting for it.
  return returncode_ = as_returncode(info);
}

int Child::send_signal(int signal) {
  if (poll()) return 0;
  // As long as nobody has reaped it, its number cannot be another's.
  int result = pidfd_.get() < 0 ? -1 : sys::pidfd_send_signal(pidfd_.get(), signal);
  if (result != 0 && (pidfd_.get() < 0 || errno == ENOSYS)) result = sys::kill(pid_, signal);
  return result == 0 || errno == ESRCH ? 0 : errno;
}

void leave_to_reaper(ReaperPlace& place) noexcept {
  const std::lock_guard lock(g_left_mutex);
  left_children().splice(left_children().end(), place);
}

void reap_left() {
  const std::lock_guard lock(g_left_mutex);
  std::erase_if(left_children(), [](int pid) {
    const int reaped = sys::waitpid(pid, nullptr, WNOHANG);
    return reaped == pid || (reaped < 0 && errno == ECHILD);
  });
}

}  // namespace weft::fibers::detail
