// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The two ways to a callback for a socket: a descriptor that is registered once and edge-triggered,
// as the loop's transports have it, and add_reader() and add_writer().

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

#include "tools/bench/common/echo.h"
#include "tools/bench/weft/works.h"
#include "weft/fibers/fd_watch.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/owned_fd.h"
#include "weft/fibers/run.h"
#include "weft/loop/event_loop.h"

namespace bench {
namespace {

namespace fibers = weft::fibers;
namespace loops = weft::loop;

// A socket that can be written to, and its peer.
class Pair {
 public:
  Pair() {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_.data()) != 0) {
      throw std::runtime_error("there is no socket pair");
    }
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() {
    for (const int end : ends_) ::close(end);
  }
  int fd() const { return ends_[0]; }

 private:
  std::array<int, 2> ends_{};
};

// One read and one write a message, as the bare loop does it.
void answer(loops::EventLoop& loop, int fd) {
  std::array<char, kEchoBuffer> buffer;
  const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
  if (n > 0 && ::send(fd, buffer.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) == n) return;
  loop.remove_reader(fd);
  ::close(fd);
}

void accept_from(loops::EventLoop& loop, int listener) {
  for (;;) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    no_delay(fd);
    loop.add_reader(fd, [&loop, fd] { answer(loop, fd); });
  }
}

}  // namespace

void reader_echo(Meter& /*meter*/) {
  fibers::run([] {
    fibers::open_nursery([](fibers::Nursery& nursery) {
      loops::EventLoop loop(nursery);
      const int listener = listen_and_announce();
      loop.add_reader(listener, [&loop, listener] { accept_from(loop, listener); });
      loop.main_loop();
    });
  });
}

void arm_writer_owned(Meter& meter) {
  fibers::run([&] {
    const Pair pair;
    fibers::OwnedFd owned(::dup(pair.fd()));
    fibers::FdWatch watch;
    meter.run([&](std::uint64_t count) {
      for (; count > 0; --count) {
        watch.arm(
            owned, fibers::FdDirection::kWrite, [](void*) {}, nullptr);
        watch.disarm();
      }
    });
  });
}

// The reader stays, as a connection's does.
void arm_writer_loop(Meter& meter) {
  fibers::run([&] {
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      loops::EventLoop loop(nursery);
      const Pair pair;
      loop.add_reader(pair.fd(), [] {});
      meter.run([&](std::uint64_t count) {
        for (; count > 0; --count) {
          loop.add_writer(pair.fd(), [] {});
          loop.remove_writer(pair.fd());
        }
      });
      loop.remove_reader(pair.fd());
    });
  });
}

}  // namespace bench
