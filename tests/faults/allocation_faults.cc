// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "tests/faults/faults_testing.h"
#include "tests/support/captured_log.h"
#include "weft/fibers/broadcast_channel.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/no_suspend.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/socket/hooks.h"
#include "weft/fibers/socket/socket_type.h"
#include "weft/fibers/testing/fault_sweep.h"
#include "weft/fibers/testing/sequencer.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/tree_var.h"

namespace weft::fibers::testing {
namespace {

std::string token_of_failure(const std::function<void()>& body) {
  try {
    fault_sweep(body, {.calls = false});
  } catch (const FaultSweepError& error) {
    EXPECT_NE(std::string(error.what()).find(error.token()), std::string::npos);
    return error.token() + ": " + error.what();
  }
  return "none";
}

// Out of the optimiser's sight, which leaves out what is given back unused.
std::unique_ptr<int> allocated(int value) {
  auto made = std::make_unique<int>(value);
  int* at = made.release();
  asm volatile("" : "+r"(at));
  return std::unique_ptr<int>(at);
}

TEST(AllocationFaults, AreCountedAndFailOneByOne) {
  int ran = 0;
  const FaultSweepResult swept = fault_sweep(
      [&] {
        ++ran;
        const auto one = allocated(1);
        const auto two = allocated(2);
      },
      {.calls = false});
  EXPECT_GE(swept.allocations, 2U);
  EXPECT_EQ(swept.runs, swept.allocations);
  // Two runs without a fault; in some the run does not come as far as the body.
  EXPECT_GE(ran, 4);
}

TEST(AllocationFaults, MemoryThatIsLostIsFound) {
  const std::string found = token_of_failure([] {
    // Known here, so that LeakSanitizer has nothing to say.
    static std::array<int*, 16> known{};
    static std::size_t count = 0;
    int* const lost = allocated(1).release();
    known.at(count++ % known.size()) = lost;
    const auto other = allocated(2);
    delete lost;  // NOLINT(cppcoreguidelines-owning-memory)
  });
  EXPECT_NE(found.find("memory is left over"), std::string::npos) << found;
}

TEST(AllocationFaults, WhatIsKeptOnceIsNotLost) {
  static std::unique_ptr<std::string> kept;
  kept.reset();
  const auto body = [] {
    if (kept == nullptr) kept = std::make_unique<std::string>(100, 'x');
  };
  EXPECT_EQ(token_of_failure(body), "none");
  kept.reset();
}

TEST(AllocationFaults, AnErrorThatCannotBeKeptIsBadAlloc) {
  // Of a thousand tasks that fail, each in turn has no memory for its error.
  EXPECT_EQ(token_of_failure([] {
              try {
                open_nursery([](Nursery& nursery) {
                  for (int i = 0; i < 20; ++i) nursery.start_soon([] { throw 1; });
                });
              } catch (const BaseExceptionGroup&) {
                checkpoint();
              }
            }),
            "none");
}

FAULT_TEST(AllocationFaults, AReceiverIsClosedWithoutMemory) {
  auto [send, receive] = open_broadcast_channel<int>(2);
  send.send_nowait(1);
  receive.close();
}

FAULT_TEST(AllocationFaults, ATreeValueIsPutBackWithoutMemory) {
  TreeVar<int> other("other");
  TreeVar<int> var("var", 0);
  open_nursery([&](Nursery&) {
    var.being(1, [&] { other.set(1); });
    EXPECT_EQ(var.get(), 0);
  });
}

FAULT_TEST(AllocationFaults, ASocketFactoryIsPutBackWithoutMemory) {
  struct Refusing : socket::SocketFactory {
    Refusing() : before(socket::set_custom_socket_factory(this)) {}
    ~Refusing() override { socket::set_custom_socket_factory(before); }
    socket::SocketType socket(int /*family*/, int /*type*/, int /*proto*/) override {
      throw std::system_error(EAFNOSUPPORT, std::generic_category());
    }
    socket::SocketFactory* const before;
  };
  const Refusing refusing;
}

FAULT_TEST(AllocationFaults, ADescriptorIsClosedUnderItsWaitersWithoutMemory) {
  auto [ours, theirs] = socket::socketpair();
  open_nursery([&, &ours = ours](Nursery& nursery) {
    nursery.start_soon([&] {
      try {
        ours.recv(1);
      } catch (const ClosedResourceError&) {
        checkpoint();
      }
    });
    wait_all_tasks_blocked();
    ours.close();
  });
}

FAULT_TEST(AllocationFaults, ReceivedDescriptorsAreClosedWithoutMemory) {
  auto [ours, theirs] = socket::socketpair();
  ours.sendmsg({.buffers = {"take it"},
                .ancillary = {{.level = SOL_SOCKET,
                               .type = SCM_RIGHTS,
                               .data = std::string(sizeof(int), '\0')}}});  // 0: standard input.
  const auto got = theirs.recvmsg(10, CMSG_SPACE(sizeof(int)));
  int fd = -1;
  std::memcpy(&fd, got.ancillary.at(0).data.data(), sizeof fd);
  ::close(fd);
}

// What is reported is not looked at.
void ignore_message(LogLevel /*level*/, std::string_view /*message*/) {}

FAULT_TEST(AllocationFaults, AScopeIsLeftThoughItsReportHasNoMemory) {
  const test::ReplacedLogSink no_log(ignore_message);
  CancelScope scope;
  scope.run([&] {
    scope.cancel();
    try {
      checkpoint();
    } catch (const Cancelled&) {
      static_cast<void>(0);  // Swallowed: this is reported.
    }
  });
}

FAULT_TEST(AllocationFaults, AHeldBackWaitGoesOnThoughItsReportHasNoMemory) {
  const test::ReplacedLogSink no_log(ignore_message);
  struct SleepsAtTheEnd {
    ~SleepsAtTheEnd() { sleep(std::chrono::seconds(6)); }
  };
  CancelScope scope;
  scope.run([&] {
    const SleepsAtTheEnd cleanup;
    scope.cancel();
    checkpoint();
  });
}

FAULT_TEST(AllocationFaults, AContextThatIsCopiedHalfIsNotLost) {
  ContextVar<int> one("one");
  ContextVar<int> two("two");
  one.set(1);
  two.set(2);
  const Context context = copy_context();
  one.set(3);
  EXPECT_EQ(one.get(), 3);
}

FAULT_TEST(AllocationFaults, ARefusedWaitIsTakenBackThoughItsErrorHasNoMemory) {
  const NoSuspend none("a test");
  try {
    sleep(std::chrono::seconds(1));
  } catch (const UsageError&) {
    static_cast<void>(0);
  }
}

FAULT_TEST(AllocationFaults, ARefusedTaskGoesThoughItsErrorHasNoMemory) {
  open_nursery([&](Nursery& nursery) {
    int local = 0;
    try {
      nursery.start_soon([&] { ++local; });
    } catch (const UsageError&) {
      static_cast<void>(0);
    }
  });
}

FAULT_TEST(AllocationFaults, ASequenceThatLacksAPositionIsBroken) {
  Sequencer sequencer;
  open_nursery([&](Nursery& nursery) {
    for (const int i : {2, 1, 0}) {
      nursery.start_soon([&, i] {
        try {
          sequencer.seq(i, [] {});
        } catch (const UsageError&) {
          static_cast<void>(0);
        } catch (const std::bad_alloc&) {
          static_cast<void>(0);
        }
      });
    }
  });
}

}  // namespace
}  // namespace weft::fibers::testing
