// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Items and results whose constructors and destructors wait, throw and come back while they move
// between tasks.

#include "tests/support/user_code.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/as_safe_channel.h"
#include "weft/fibers/broadcast_channel.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/gather.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/race.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using namespace std::chrono_literals;
using weft::testing::once_in;
using weft::testing::pause;
using weft::testing::Restless;
using weft::testing::RestlessItem;
using weft::testing::UserCode;

using ItemPair = MemoryChannelPair<RestlessItem>;

FIBER_TEST(UserCodeTest, EveryItemArrivesOnceThoughEachTakesItsTime) {
  for (const std::size_t capacity : {0, 1, 2}) {
    for (const char* const member : {"move", "destroy"}) {
      UserCode code;
      std::vector<int> got;
      open_nursery([&](Nursery& nursery) {
        ItemPair ends = open_memory_channel<RestlessItem>(capacity);
        code.hook = [&](const std::string& where) {
          if (where == member) pause(100ms);
        };
        for (int task = 0; task < 3; ++task) {
          nursery.start_soon([&, task, send = ends.first]() mutable {
            for (int i = 0; i < 4; ++i) send.send(RestlessItem(code, 10 * task + i));
          });
        }
        for (int task = 0; task < 2; ++task) {
          nursery.start_soon([&, receive = ends.second]() mutable {
            while (auto item = receive.next()) got.push_back(item->value());
          });
        }
      });
      code.hook = nullptr;
      std::ranges::sort(got);
      EXPECT_EQ(got, (std::vector<int>{0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23}))
          << capacity << member;
      EXPECT_EQ(code.alive, 0) << capacity << member;
    }
  }
}

FIBER_TEST(UserCodeTest, AReceiverThatIsCancelledWhileItsItemComesHasIt) {
  UserCode code;
  auto [send, receive] = open_memory_channel<RestlessItem>(0);
  int got = 0;
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&, &receive = receive] {
      scope.run([&] {
        const auto item = receive.next();
        got = item->value();
        sleep(1s);
      });
    });
    sleep(1s);
    const RestlessItem item(code, 7);
    RestlessItem copy(item);
    code.hook = once_in("move", [&] {
      scope.cancel();
      pause();
    });
    send.send_nowait(std::move(copy));
    code.hook = nullptr;
  });
  EXPECT_EQ(got, 7);
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, ASenderThatIsCancelledWhileItsItemIsTakenHasSentIt) {
  UserCode code;
  auto [send, receive] = open_memory_channel<RestlessItem>(0);
  bool sent = false;
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&, &send = send] {
      scope.run([&] {
        send.send(RestlessItem(code, 7));
        sent = true;
        sleep(1s);
      });
    });
    sleep(1s);
    code.hook = once_in("move", [&] {
      scope.cancel();
      pause();
    });
    EXPECT_EQ(receive.receive_nowait().value(), 7);
    code.hook = nullptr;
  });
  EXPECT_TRUE(sent);
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, AnItemMayUseItsOwnChannel) {
  UserCode code;
  auto [send, receive] = open_memory_channel<RestlessItem>(2);
  RestlessItem first(code, 1);
  code.hook = once_in("move", [&, &send = send] {
    send.send_nowait(RestlessItem(code, 2));
    EXPECT_THROW(send.send_nowait(RestlessItem(code, 3)), WouldBlock);
  });
  send.send_nowait(std::move(first));
  EXPECT_EQ(receive.statistics().current_buffer_used, 2U);
  int inner = 0;
  code.hook = once_in("move", [&, &receive = receive] {
    inner = receive.receive_nowait().value();
    EXPECT_THROW(receive.receive_nowait(), WouldBlock);
  });
  const int outer = receive.receive_nowait().value();
  code.hook = nullptr;
  EXPECT_EQ(outer + inner, 3);
  EXPECT_EQ(receive.statistics().current_buffer_used, 0U);
}

FIBER_TEST(UserCodeTest, TheHandlesOfAChannelMayGoWhileAnItemMoves) {
  for (const bool only_receiver : {true, false}) {
    for (const std::size_t capacity : {0, 3}) {
      UserCode code;
      std::optional<ItemPair> ends = open_memory_channel<RestlessItem>(capacity);
      open_nursery([&](Nursery& nursery) {
        if (capacity == 0) {
          nursery.start_soon([receive = ends->second]() mutable { receive.next(); });
          sleep(1s);
        } else {
          ends->first.send_nowait(RestlessItem(code, 1));
        }
        MemorySendChannel<RestlessItem> send = ends->first;
        RestlessItem item(code, 2);
        code.hook = once_in("move", [&] {
          only_receiver ? ends->second.close() : ends.reset();
          pause();
        });
        send.send_nowait(std::move(item));
        code.hook = nullptr;
        if (capacity != 0) {
          EXPECT_THROW(send.send(RestlessItem(code, 3)), BrokenResourceError);
        }
      });
      ends.reset();
      EXPECT_EQ(code.alive, 0) << capacity;
    }
  }
}

FIBER_TEST(UserCodeTest, TheLastHandleMayGoWhileAnItemIsTaken) {
  UserCode code;
  std::optional<ItemPair> ends = open_memory_channel<RestlessItem>(1);
  ends->first.send_nowait(RestlessItem(code, 1));
  code.hook = once_in("move", [&] { ends.reset(); });
  EXPECT_EQ(ends->second.receive_nowait().value(), 1);
  EXPECT_FALSE(ends);
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, ReceiversWaitForAnItemOnItsWayThoughTheLastSenderCloses) {
  UserCode code;
  auto [send, receive] = open_memory_channel<RestlessItem>(1);
  std::vector<int> got;
  open_nursery([&](Nursery& nursery) {
    RestlessItem item(code, 7);
    code.hook = once_in("move", [&, &send = send, &receive = receive] {
      nursery.start_soon([&] {
        while (auto next = receive.next()) got.push_back(next->value());
      });
      pause();
      send.close();
      pause();
    });
    send.send_nowait(std::move(item));
  });
  EXPECT_EQ(got, std::vector<int>{7});
}

FIBER_TEST(UserCodeTest, ItemsThatAreDroppedMayUseTheChannel) {
  UserCode code;
  auto [send, receive] = open_memory_channel<RestlessItem>(3);
  for (int i = 0; i < 3; ++i) send.send_nowait(RestlessItem(code, i));
  std::vector<std::size_t> left;
  code.hook = [&, &send = send](const std::string& where) {
    if (where != "destroy") return;
    left.push_back(send.statistics().current_buffer_used);
    EXPECT_THROW(send.send_nowait(RestlessItem(code, 9)), BrokenResourceError);
    pause();
  };
  receive.close();
  code.hook = nullptr;
  EXPECT_EQ(left, (std::vector<std::size_t>{2, 1, 0}));
  EXPECT_EQ(code.alive, 0);
}

// --- Broadcast ---

FIBER_TEST(UserCodeTest, EveryReceiverGetsEveryItemThoughEachTakesItsTime) {
  for (const char* const member : {"construct", "move", "copy", "destroy"}) {
    UserCode code;
    std::vector<int> got;
    open_nursery([&](Nursery& nursery) {
      auto [send, first] = open_broadcast_channel<Restless>(1);
      code.hook = [&](const std::string& where) {
        if (where == member) pause(100ms);
      };
      for (int task = 0; task < 2; ++task) {
        nursery.start_soon([&, task, send = send]() mutable {
          for (int i = 0; i < 3; ++i) send.send(Restless(code, 10 * task + i));
        });
        nursery.start_soon([&, receive = first]() mutable {
          while (auto item = receive.next()) got.push_back(item->value());
        });
      }
    });
    code.hook = nullptr;
    std::ranges::sort(got);
    EXPECT_EQ(got, (std::vector<int>{0, 0, 1, 1, 2, 2, 10, 10, 11, 11, 12, 12})) << member;
    EXPECT_EQ(code.alive, 0) << member;
  }
}

// Room has been made for a sender by an item whose destructor takes its time.
FIBER_TEST(UserCodeTest, ASenderThatIsCancelledWhileRoomIsMadeLosesNobodysItem) {
  UserCode code;
  auto [send, receive] = open_broadcast_channel<Restless>(1);
  std::vector<int> got;
  std::vector<int> sent;
  CancelScope scope;
  open_nursery([&](Nursery& nursery) {
    send.send(Restless(code, 0));
    for (int i = 1; i <= 2; ++i) {
      nursery.start_soon([&, i, &send = send] {
        const auto send_it = [&] {
          send.send(Restless(code, i));
          sent.push_back(i);
        };
        i == 1 ? static_cast<void>(scope.run(send_it)) : send_it();
      });
      sleep(1s);
    }
    code.hook = once_in("destroy", [&] {
      scope.cancel();
      pause();
    });
    for (int i = 0; i < 2; ++i) got.push_back(receive.receive().value());
    sleep(10s);
    while (receive.statistics().current_buffer_used > 0) got.push_back(receive.receive().value());
    code.hook = nullptr;
  });
  got.erase(got.begin());
  std::ranges::sort(sent);
  EXPECT_EQ(got, sent);
}

FIBER_TEST(UserCodeTest, ABroadcastItemMayCloseAndSendWhenItGoes) {
  for (const char* const member : {"copy", "destroy"}) {
    UserCode code;
    using Ends = std::pair<BroadcastSendChannel<Restless>, BroadcastReceiveChannel<Restless>>;
    std::optional<Ends> ends = open_broadcast_channel<Restless>(2);
    ends->first.send_nowait(Restless(code, 1));
    ends->first.send_nowait(Restless(code, 2));
    std::optional<BroadcastReceiveChannel<Restless>> receive = ends->second;
    code.hook = once_in(member, [&] {
      ends->second.close();
      pause();
      ends.reset();
    });
    EXPECT_EQ(receive->receive_nowait().value(), 1) << member;
    receive.reset();
    code.hook = nullptr;
    ends.reset();
    EXPECT_EQ(code.alive, 0) << member;
  }
}

FIBER_TEST(UserCodeTest, ABroadcastItemThatCannotBeCopiedCountsAsReceived) {
  UserCode code;
  auto [send, receive] = open_broadcast_channel<Restless>(2);
  send.send_nowait(Restless(code, 1));
  send.send_nowait(Restless(code, 2));
  code.hook = once_in("copy", [] { throw std::out_of_range("copy"); });
  EXPECT_THROW(receive.receive_nowait(), std::out_of_range);
  EXPECT_EQ(receive.receive_nowait().value(), 2);
}

FIBER_TEST(UserCodeTest, AHandleMayBeClosedWhileAnItemForItIsBuilt) {
  WEFT_NOT_ALLOCATION_SWEPT("nobody else closes its handle");
  UserCode code;
  auto [send, receive] = open_broadcast_channel<Restless>(2);
  code.hook = once_in("move", [&, &send = send] { send.close(); });
  EXPECT_THROW(send.send(Restless(code, 1)), ClosedResourceError);
  EXPECT_FALSE(receive.next());
}

FIBER_TEST(UserCodeTest, ASafeChannelWaitsForItemsThatTakeTheirTime) {
  UserCode code;
  std::vector<int> got;
  code.hook = [](const std::string& where) {
    if (where == "move" || where == "destroy") pause(100ms);
  };
  as_safe_channel<RestlessItem>(
      [&](SafeSendChannel<RestlessItem>& out) {
        for (int i = 0; i < 5; ++i) out.send(RestlessItem(code, i));
      },
      [&](SafeReceiveChannel<RestlessItem>& items) {
        for (int i = 0; i < 3; ++i) got.push_back(items.receive().value());
      });
  code.hook = nullptr;
  EXPECT_EQ(got, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(code.alive, 0);
}

// --- Several at once ---

FIBER_TEST(UserCodeTest, GatherWaitsForResultsThatTakeTheirTime) {
  UserCode code;
  code.hook = [](const std::string& where) {
    if (where == "move") sleep(1s);
  };
  const auto make = [&](int i) { return [&code, i] { return Restless(code, i); }; };
  const auto values = gather(make(1), make(2));
  EXPECT_EQ(std::get<0>(values).value() + std::get<1>(values).value(), 3);
}

FIBER_TEST(UserCodeTest, AResultThatCannotBeStoredIsTheErrorOfGather) {
  UserCode code;
  code.hook = once_in("move", [] { throw std::out_of_range("move"); });
  const auto make = [&](int i) { return [&code, i] { return Restless(code, i); }; };
  EXPECT_THROW(gather(make(1), make(2)), std::out_of_range);
  EXPECT_EQ(code.alive, 0);
}

// What the first returns takes its time, and the second comes past it.
FIBER_TEST(UserCodeTest, WhoseResultIsThereFirstHasWonTheRace) {
  for (const bool any_number : {true, false}) {
    UserCode code;
    code.hook = [first = true](const std::string& where) mutable {
      if (where == "move" && std::exchange(first, false)) pause(2s);
    };
    const auto make = [&](int i) {
      return [&code, i] {
        sleep(i * 1s);
        return Restless(code, i);
      };
    };
    if (any_number) {
      std::vector attempts{make(1), make(2)};
      const auto won = race(std::move(attempts));
      EXPECT_EQ(won.index, 1U);
      EXPECT_EQ(won.value.value(), 2);
    } else {
      const auto won = race(make(1), make(2));
      EXPECT_EQ(won.index(), 1U);
      EXPECT_EQ(std::get<1>(won).value(), 2);
    }
    EXPECT_EQ(code.alive, 0) << any_number;
  }
}

FIBER_TEST(UserCodeTest, WhoseResultCannotBeStoredIsOutOfTheRace) {
  UserCode code;
  code.hook = once_in("move", [] { throw std::out_of_range("move"); });
  const auto make = [&](int i) { return [&code, i] { return Restless(code, i); }; };
  const auto won = first_success(make(1), make(2));
  EXPECT_EQ(std::visit([](const Restless& value) { return value.value(); }, won),
            static_cast<int>(won.index()) + 1);
  code.hook = [](const std::string& where) {
    if (where == "move") throw std::out_of_range("move");
  };
  EXPECT_THROW(race(make(1), make(2)), ExceptionGroup);
  EXPECT_EQ(code.alive, 1);  // That in `won`.
}

// --- Nursery::start ---

FIBER_TEST(UserCodeTest, AValueForStartMayTakeItsTime) {
  UserCode code;
  open_nursery([&](Nursery& nursery) {
    code.hook = once_in("construct", [] { sleep(1s); });
    const Restless value = nursery.start<Restless>([&](TaskStatus<Restless>& status) {
      code.hook = once_in("construct", [&] {
        EXPECT_THROW(status.started(code, 2), UsageError);
        sleep(1s);
      });
      status.started(code, 1);
    });
    EXPECT_EQ(value.value(), 1);
  });
}

FIBER_TEST(UserCodeTest, StartedMayBeCalledAgainIfItsValueCouldNotBeBuilt) {
  UserCode code;
  open_nursery([&](Nursery& nursery) {
    const Restless value = nursery.start<Restless>([&](TaskStatus<Restless>& status) {
      code.hook = once_in("construct", [] { throw std::out_of_range("construct"); });
      EXPECT_THROW(status.started(code, 1), std::out_of_range);
      status.started(code, 2);
      EXPECT_THROW(status.started(code, 3), UsageError);
    });
    EXPECT_EQ(value.value(), 2);
  });
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, ACallerThatIsCancelledWhileTheValueIsBuiltEndsTheTask) {
  UserCode code;
  CancelScope scope({.relative_deadline = Duration(1s)});
  bool ended = false;
  open_nursery([&](Nursery& nursery) {
    scope.run([&] {
      nursery.start<Restless>([&](TaskStatus<Restless>& status) {
        code.hook = once_in("construct", [] { pause(2s); });
        status.started(code, 1);
        ended = move_on_after(1h, [] { sleep_forever(); }) ? false : true;
      });
    });
    EXPECT_FALSE(ended);
    EXPECT_TRUE(scope.cancelled_caught());
    EXPECT_EQ(nursery.child_tasks().size(), 0U);
  });
  EXPECT_EQ(code.alive, 0);
}

}  // namespace
}  // namespace weft::fibers
