// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/child_watch.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include "fibers/sys/sys.h"
#include "weft/fibers/detail/outside_work.h"
#include "weft/fibers/log.h"
#include "weft/fibers/outcome.h"
#include "weft/fibers/thread_cache.h"
#include "weft/loop/detail/loop_object.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::detail {

using fibers::detail::Child;
using fibers::detail::PlainFd;
namespace sys = fibers::sys;

namespace {

PlainFd need_fd(int fd, const char* what) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), what);
  return PlainFd(fd);
}

// Does not reap: the number of the child stays its own until the loop's thread has looked.
void wait_for_end(int pid) {
  siginfo_t info{};
  while (sys::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 &&
         errno == EINTR) {
  }
}

// For systems without pidfds: a thread waits, one a child.
PlainFd wait_in_thread(int pid) {
  PlainFd told = need_fd(sys::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
  PlainFd tells = need_fd(sys::fcntl(told.get(), F_DUPFD_CLOEXEC, 0), "dup");
  fibers::start_thread_soon([pid] { wait_for_end(pid); },
                            [fd = std::move(tells)](const fibers::Outcome<void>&) {
                              const std::uint64_t one = 1;
                              static_cast<void>(sys::write(fd.get(), &one, sizeof one));
                            },
                            "waitid");
  return told;
}

}  // namespace

ChildWatch::ChildWatch(LoopCore& loop, std::shared_ptr<Child> child)
    : loop_(loop), child_(std::move(child)) {
  child_->set_lost_status(kLostStatus);
  if (child_->pidfd() < 0) told_by_thread_ = wait_in_thread(child_->pid());
  count(1);
}

ChildWatch::~ChildWatch() {
  count(-1);
}

void ChildWatch::count(int change) const {
  run_of(loop_).call([change] {
    fibers::detail::count_outside_work(fibers::detail::OutsideWork::kProcess, change);
  });
}

int ChildWatch::fd() const {
  return child_->pidfd() < 0 ? told_by_thread_.get() : child_->pidfd();
}

std::optional<int> ChildWatch::take_status() {
  const std::optional<int> status = child_->poll();
  if (!status) return status;
  running_loop()->remove_reader(fd());
  if (child_->lost()) {
    // The handler is to be called also if there is no memory for a log.
    fibers::detail::log_quietly(fibers::LogLevel::kWarning, [&] {
      return "child process pid " + std::to_string(child_->pid()) +
             " exit status already read: will report returncode " + std::to_string(*status);
    });
  }
  return status;
}

}  // namespace weft::loop::detail
