// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Subject "raw": what the machine itself allows. Bare jump_fcontext between contexts that do
// nothing else, a bare throw + catch on cold stacks, one touched page a stack, a bare
// epoll loop. No scheduler, no structure.

#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <boost/context/detail/fcontext.hpp>
#include <cstdint>
#include <new>
#include <vector>

#include "tools/bench/common/echo.h"
#include "tools/bench/common/eventfds.h"
#include "tools/bench/common/meter.h"
#include "tools/bench/common/process_memory.h"
#include "tools/bench/peers/tls_echo.h"

namespace {

namespace context = boost::context::detail;
using bench::Meter;

constexpr std::size_t kStackSize = 64 * 1024;

// One line at the top of each stack.
struct alignas(64) Block {
  context::fcontext_t suspended;
  Block* next;
};

// Stacks side by side in one mapping. `coloured`: neighbours' frames fall into different cache
// sets.
class Stacks {
 public:
  explicit Stacks(std::size_t count, bool coloured) : coloured_(coloured), blocks_(count) {
    void* memory = mmap(nullptr, count * kStackSize, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    madvise(memory, count * kStackSize, MADV_NOHUGEPAGE);
    base_ = static_cast<char*>(memory);
  }
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;
  ~Stacks() { munmap(base_, blocks_.size() * kStackSize); }

  // (Re)starts all contexts at `entry`; nothing runs yet.
  void start(void (*entry)(context::transfer_t)) {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const std::size_t colour = coloured_ ? i % 32 * 64 : 0;
      char* top = base_ + (i + 1) * kStackSize - colour - sizeof(Block);
      blocks_[i] = new (top) Block{context::make_fcontext(top, kStackSize - 4096, entry), nullptr};
      if (i > 0) blocks_[i - 1]->next = blocks_[i];
    }
    blocks_.back()->next = blocks_.front();
  }
  const std::vector<Block*>& blocks() const { return blocks_; }

 private:
  char* base_ = nullptr;
  bool coloured_;
  std::vector<Block*> blocks_;
};

Block* current = nullptr;
std::uint64_t switches_left = 0;
context::fcontext_t main_context = nullptr;

// Notes where the one who jumped here can be resumed.
void note_origin(context::transfer_t origin) {
  if (origin.data != nullptr) {
    static_cast<Block*>(origin.data)->suspended = origin.fctx;
  } else {
    main_context = origin.fctx;
  }
}

[[noreturn]] void yield_for_ever(context::transfer_t origin) {
  note_origin(origin);
  for (;;) {
    Block* self = current;
    context::fcontext_t target = main_context;
    if (switches_left != 0) {
      --switches_left;
      current = self->next;
      target = current->suspended;
    }
    note_origin(context::jump_fcontext(target, self));
  }
}

template <std::size_t kTasks>
void yield(Meter& meter) {
  Stacks stacks(kTasks, true);
  stacks.start(&yield_for_ever);
  current = stacks.blocks().front();
  meter.run(
      [](std::uint64_t rounds) {
        switches_left = rounds * kTasks;
        note_origin(context::jump_fcontext(current->suspended, nullptr));
      },
      kTasks);
}

// Two contexts that hand over to each other; there and back is two.
void greenlet_switch(Meter& meter) {
  Stacks stacks(1, true);
  stacks.start([](context::transfer_t origin) {
    for (;;) origin = context::jump_fcontext(origin.fctx, nullptr);
  });
  context::fcontext_t other = stacks.blocks().front()->suspended;
  meter.run(
      [&other](std::uint64_t count) {
        for (; count > 0; --count) other = context::jump_fcontext(other, nullptr).fctx;
      },
      2);
  meter.finish();
}

struct Unwind {};

// Three frames with something to destroy, as a task has at least that waits inside calls of its
// own.
struct Local {
  int value;
  ~Local() { bench::keep(value); }
};
[[gnu::noinline]] int inner(int value) {
  Local local{value};
  note_origin(context::jump_fcontext(main_context, current));
  if (switches_left == 0) throw Unwind();
  return local.value;
}
[[gnu::noinline]] int middle(int value) {
  Local local{value};
  return inner(value + 1) + local.value;
}
[[gnu::noinline]] int outer(int value) {
  Local local{value};
  return middle(value + 1) + local.value;
}

[[noreturn]] void unwind_when_resumed(context::transfer_t origin) {
  note_origin(origin);
  try {
    bench::keep(outer(1));
  } catch (const Unwind&) {
  }
  for (;;) note_origin(context::jump_fcontext(main_context, current));
}

void resume_all(const Stacks& stacks) {
  for (Block* block : stacks.blocks()) {
    current = block;
    note_origin(context::jump_fcontext(block->suspended, nullptr));
  }
}

void cancel_parked(Meter& meter) {
  constexpr std::size_t kTasks = 10'000;
  Stacks stacks(kTasks, true);
  while (meter.more()) {
    stacks.start(&unwind_when_resumed);
    resume_all(stacks);  // Up to the park.
    const bench::Moment start = bench::Moment::now();
    resume_all(stacks);
    meter.add(start, kTasks);
  }
}

void parked_memory(Meter& meter) {
  constexpr std::size_t kTasks = 1'000'000;
  const auto before = bench::ProcessMemory::now();
  Stacks stacks(kTasks, false);
  stacks.start(&unwind_when_resumed);
  resume_all(stacks);
  bench::report_parked_memory(meter, before, kTasks);
}

// The server of tcp_echo: a level-triggered epoll loop, one read and one write a message.
void tcp_echo(Meter& /*meter*/) {
  const int listener = bench::listen_and_announce();
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  const auto watch = [epoll](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  };
  watch(listener);
  std::array<epoll_event, 128> events;
  std::array<char, bench::kEchoBuffer> buffer;
  for (;;) {
    const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events.at(static_cast<std::size_t>(i)).data.fd;
      if (fd == listener) {
        const int accepted = ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        bench::no_delay(accepted);
        watch(accepted);
        continue;
      }
      const ssize_t n = ::read(fd, buffer.data(), buffer.size());
      if (n <= 0 || ::write(fd, buffer.data(), static_cast<std::size_t>(n)) != n) ::close(fd);
    }
  }
}

// The same for datagrams, on one socket.
void datagram_echo(Meter& /*meter*/) {
  const int fd = bench::bind_and_announce();
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  std::array<char, bench::kEchoBuffer> buffer;
  for (;;) {
    ::epoll_wait(epoll, &event, 1, -1);
    for (;;) {
      sockaddr_in from{};
      socklen_t size = sizeof from;
      auto* const address = reinterpret_cast<sockaddr*>(&from);
      const ssize_t n = ::recvfrom(fd, buffer.data(), buffer.size(), 0, address, &size);
      if (n < 0) break;
      ::sendto(fd, buffer.data(), static_cast<std::size_t>(n), 0, address, size);
    }
  }
}

// What epoll itself takes for scaling/descriptors: each is armed for one event, as a descriptor
// must be that somebody else may close meanwhile, and armed anew when it has been read.
template <std::size_t kCount>
void descriptors(Meter& meter) {
  const std::vector<int> all = bench::make_eventfds(kCount);
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  const auto arm = [epoll](int operation, int fd) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
    event.data.fd = fd;
    ::epoll_ctl(epoll, operation, fd, &event);
  };
  for (const int fd : all) arm(EPOLL_CTL_ADD, fd);
  constexpr std::size_t kTogether = kCount < 100 ? kCount : 100;
  std::array<epoll_event, 128> events;
  std::size_t next = 0;
  meter.run(
      [&](std::uint64_t count) {
        for (; count > 0; --count) {
          for (std::size_t i = 0; i < kTogether; ++i) {
            bench::signal_eventfd(all[next]);
            next = (next + bench::kStep) % kCount;
          }
          for (std::size_t done = 0; done < kTogether;) {
            const int found =
                ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
            for (int i = 0; i < found; ++i, ++done) {
              const int fd = events.at(static_cast<std::size_t>(i)).data.fd;
              bench::read_eventfd(fd);
              arm(EPOLL_CTL_MOD, fd);
            }
          }
        }
      },
      kTogether);
  meter.finish();
}

}  // namespace

int main(int argc, char** argv) {
  return bench::subject_main("raw",
                             {{"yield/2", &yield<2>},
                              {"yield/100", &yield<100>},
                              {"yield/10000", &yield<10'000>},
                              {"greenlet_switch", &greenlet_switch},
                              {"scaling/tasks/10", &yield<10>},
                              {"scaling/tasks/100", &yield<100>},
                              {"scaling/tasks/1000", &yield<1'000>},
                              {"scaling/tasks/10000", &yield<10'000>},
                              {"scaling/tasks/100000", &yield<100'000>},
                              {"scaling/tasks/1000000", &yield<1'000'000>},
                              {"scaling/descriptors/10", &descriptors<10>},
                              {"scaling/descriptors/100", &descriptors<100>},
                              {"scaling/descriptors/1000", &descriptors<1'000>},
                              {"scaling/descriptors/10000", &descriptors<10'000>},
                              {"scaling/descriptors/100000", &descriptors<100'000>},
                              {"scaling/descriptors/1000000", &descriptors<1'000'000>},
                              {"tcp_echo/1", &tcp_echo},
                              {"tcp_echo/100", &tcp_echo},
                              {"tcp_echo/1000", &tcp_echo},
                              {"protocol_echo/1", &tcp_echo},
                              {"protocol_echo/100", &tcp_echo},
                              {"protocol_echo/1000", &tcp_echo},
                              {"buffered_echo/100", &tcp_echo},
                              {"reader_echo/100", &tcp_echo},
                              {"datagram_echo/100", &datagram_echo},
                              {"stream_echo/1", &tcp_echo},
                              {"stream_echo/100", &tcp_echo},
                              {"stream_echo/1000", &tcp_echo},
#ifdef WEFT_BENCH_TLS
                              {"tls_echo/100", &bench::tls_echo},
#endif
                              {"cancel_parked/10000", &cancel_parked},
                              {"parked_memory/1000000", &parked_memory}},
                             argc, argv);
}
