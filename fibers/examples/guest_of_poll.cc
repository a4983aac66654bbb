// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft as a guest in somebody else's event loop, here a program around poll(2). The loop waits for
// one more descriptor and ticks when it is readable; what was written as callbacks stays as it is.
//
// Prints:
//   task: waiting for the host's timer
//   host: one
//   task: got one
//   host: two
//   task: got two
//   host: the guest returned 2

#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <functional>
#include <iostream>
#include <string>

#include "weft/fibers/guest.h"
#include "weft/fibers/memory_channel.h"

namespace trio = weft::fibers;

// The program as it was: a timer, and a callback when it rings.
class Host {
 public:
  Host() {
    const itimerspec every_2_ms{{0, 2'000'000}, {0, 2'000'000}};
    ::timerfd_settime(timer_, 0, &every_2_ms, nullptr);
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host() { ::close(timer_); }

  void run(const trio::GuestRun& guest) {
    std::array<pollfd, 2> fds{{{timer_, POLLIN, 0}, {guest.pollable_fd(), POLLIN, 0}}};
    while (!guest.done()) {
      ::poll(fds.data(), fds.size(), -1);
      if (fds[1].revents != 0) guest.tick();
      if (fds[0].revents != 0) ring();
    }
  }

  std::function<void(const std::string&)> on_timer;

 private:
  void ring() {
    std::uint64_t times = 0;
    if (::read(timer_, &times, sizeof times) < 0) return;
    static constexpr std::array<const char*, 2> kWords{"one", "two"};
    if (next_ < kWords.size()) on_timer(kWords.at(next_++));
  }

  int timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  std::size_t next_ = 0;
};

int main() {
  Host host;
  auto [send, receive] = trio::open_memory_channel<std::string>(10);
  // The host's callbacks use the run directly: they are on its thread.
  host.on_timer = [&send = send](const std::string& word) {
    std::cout << "host: " << word << '\n';
    send.send_nowait(word);
  };
  const auto guest = trio::start_guest_run(
      [&receive = receive] {
        std::cout << "task: waiting for the host's timer\n";
        int count = 0;
        for (; count < 2; ++count) {
          const std::string word = receive.receive();
          std::cout << "task: got " << word << '\n';
        }
        return count;
      },
      {.done_callback = [](trio::Outcome<int> outcome) {
        std::cout << "host: the guest returned " << outcome.unwrap() << '\n';
      }});
  host.run(guest);
}
