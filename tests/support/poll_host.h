// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The plainest event loop there is, poll(2) and a queue, to be the host of guest runs.

#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace weft::test {

class PollHost {
 public:
  PollHost() : wakeup_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  PollHost(const PollHost&) = delete;
  PollHost& operator=(const PollHost&) = delete;
  ~PollHost() { ::close(wakeup_); }

  // Any thread.
  void post(std::function<void()> fn) {
    // Until the end: what is posted may be what the host is destroyed after.
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(fn));
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(wakeup_, &one, sizeof one);
  }

  // Calls `on_readable` whenever `fd` is readable.
  void watch(int fd, std::function<void()> on_readable) {
    watched_ = fd;
    on_readable_ = std::move(on_readable);
  }
  void unwatch() { watched_ = -1; }

  // Waits, in real time, until something happens, and does what there is to do.
  void turn() {
    ++turns_;
    std::vector<pollfd> fds{{wakeup_, POLLIN, 0}, {watched_, POLLIN, 0}};
    ::poll(fds.data(), fds.size(), -1);
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t n = ::read(wakeup_, &count, sizeof count);
    std::deque<std::function<void()>> now;
    {
      const std::lock_guard lock(mutex_);
      now.swap(posted_);
    }
    for (; !now.empty(); now.pop_front()) now.front()();
    if ((fds[1].revents & POLLIN) != 0 && watched_ >= 0) on_readable_();
  }
  // Whether turn() would do something at once.
  bool busy() const {
    std::vector<pollfd> fds{{wakeup_, POLLIN, 0}, {watched_, POLLIN, 0}};
    return ::poll(fds.data(), fds.size(), 0) > 0;
  }
  int turns() const { return turns_; }

 private:
  int wakeup_;
  int watched_ = -1;
  int turns_ = 0;
  std::function<void()> on_readable_;
  std::mutex mutex_;
  std::deque<std::function<void()>> posted_;
};

}  // namespace weft::test
