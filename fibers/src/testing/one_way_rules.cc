// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The rules for a direction of a stream.

#include <array>

#include "fibers/src/testing/stream_rules.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::fibers::testing::detail {

namespace {

const std::string kSome(100, 'x');

void arrives(const Ends& ends) {
  together([&] { send(ends.s, "x"); }, [&] { receive(ends.r, 1, "x"); });
}

// One at a time, because a stream may hand out less than there is.
void arrives_in_order(const Ends& ends) {
  together([&] { send(ends.s, "xyz"); },
           [&] {
             receive(ends.r, 1, "x");
             receive(ends.r, 1, "y");
             receive(ends.r, 1, "z");
           });
}

void nothing_is_not_the_end(const Ends& ends) {
  together(
      [&] {
        send(ends.s, "");
        send(ends.s, "y");
      },
      [&] { receive(ends.r, 1, "y"); });
}

void no_room_is_refused(const Ends& ends) {
  expect<UsageError>("UsageError", "receive_some(0)", [&] { ends.r.receive_some(0); });
  expect<UsageError>("UsageError", "receive_some() with no room",
                     [&] { ends.r.receive_some(std::span<std::byte>()); });
}

void one_task_receives(const Ends& ends) {
  const auto receive_one = [&] { ends.r.receive_some(1); };
  expect_busy("two tasks in receive_some()", receive_one, receive_one);
}

// Legally it may wait until somebody receives.
void ready_while_somebody_receives(const Ends& ends) {
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { ends.r.receive_some(1); });
    nursery.start_soon([&] {
      wait_to_send(ends.s);
      nursery.cancel_scope().cancel();
    });
  });
}

void closed_receiver_breaks_sender(const Ends& ends) {
  together([&] { send_until_broken(ends.s); }, [&] { close(ends.r); });
  expect_broken("the next send_all()", [&] { ends.s.send_all(kSome); });
}

void closed_receiver_is_closed(const Ends& ends) {
  together([&] { send_until_broken(ends.s); }, [&] { close(ends.r); });
  expect_closed("receive_some() after aclose()", [&] { ends.r.receive_some(4096); });
  close(ends.r);
  close(ends.r);
}

// The other side may take it for an end or for an accident, but not wait, and not make up data.
void receive_end_or_broken(ReceiveStream& r) {
  try {
    receive_end(r);
  } catch (const BrokenResourceError&) {
  }
}

// Somebody receives for the sake of streams that have something to say before they close.
void closed_sender_is_closed(const Ends& ends) {
  together([&] { close(ends.s); }, [&] { receive_end_or_broken(ends.r); });
  expect_closed("send_all() after aclose()", [&] { ends.s.send_all(kSome); });
  expect_closed("send_all() of nothing after aclose()", [&] { ends.s.send_all(""); });
  expect_closed("wait_send_all_might_not_block() after aclose()",
                [&] { ends.s.wait_send_all_might_not_block(); });
  close(ends.s);
  close(ends.s);
}

// The sender gets as far as it can before anything is received; some streams wait in send_all().
void sent_before_closing_arrives(const Ends& ends) {
  together(
      [&] {
        ends.s.send_all("y");
        close(ends.s);
      },
      [&] {
        wait_all_tasks_blocked();
        receive(ends.r, 1, "y");
        receive_end(ends.r);
        receive_end(ends.r);
        close(ends.r);
      });
}

void forcefully_closed_receiver(const Ends& ends) {
  aclose_forcefully(ends.r);
  send_until_broken(ends.s);
  expect_closed("receive_some() after aclose_forcefully()", [&] { ends.r.receive_some(4096); });
}

void forcefully_closed_sender(const Ends& ends) {
  aclose_forcefully(ends.s);
  expect_closed("send_all() after aclose_forcefully()", [&] { ends.s.send_all("123"); });
  receive_end_or_broken(ends.r);
}

void cancelled_closing_closes(const Ends& ends) {
  for (AsyncResource* resource :
       {static_cast<AsyncResource*>(&ends.r), static_cast<AsyncResource*>(&ends.s)}) {
    CancelScope scope;
    scope.cancel();
    scope.run([&] { resource->aclose(); });
  }
  expect_closed("send_all() after a cancelled aclose()", [&] { ends.s.send_all("123"); });
  expect_closed("receive_some() after a cancelled aclose()", [&] { ends.r.receive_some(4096); });
}

void in_cancelled_scope(const char* call, const std::function<void()>& fn) {
  CancelScope scope;
  scope.cancel();
  if (scope.run(fn)) broken(std::string(call) + " in a cancelled scope was not cancelled");
}

void closes_after_cancelled_calls(const Ends& ends) {
  in_cancelled_scope("send_all()", [&] { ends.s.send_all("x"); });
  in_cancelled_scope("receive_some()", [&] { ends.r.receive_some(1); });
  together([&] { close(ends.s); }, [&] { close(ends.r); });
}

void cancelled_receiving_loses_nothing(const Ends& ends) {
  for (const std::string_view data : {"abc", "defg"}) {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([&] {
        ends.r.receive_some(10);
        broken("receive_some() did not wait for data");
      });
      wait_all_tasks_blocked();
      nursery.cancel_scope().cancel();
    });
    together([&] { ends.s.send_all(data); }, [&] { receive_all(ends.r, data); });
  }
}

void closing_wakes_receiver(const Ends& ends) {
  expect_woken(
      "receive_some()", [&] { ends.r.receive_some(10); }, [&] { aclose_forcefully(ends.r); });
}

constexpr std::array kOneWayRules = {
    Rule{"what is sent arrives", arrives},
    Rule{"bytes arrive in the order in which they were sent", arrives_in_order},
    Rule{"sending nothing is not the end of the stream", nothing_is_not_the_end},
    Rule{"receiving into no room is a UsageError", no_room_is_refused},
    Rule{"two tasks cannot receive at once", one_task_receives},
    Rule{"wait_send_all_might_not_block() returns while somebody receives",
         ready_while_somebody_receives},
    Rule{"sending to a closed receiver is BrokenResourceError, and stays so",
         closed_receiver_breaks_sender},
    Rule{"receiving after closing is ClosedResourceError, and closing again is fine",
         closed_receiver_is_closed},
    Rule{"sending after closing is ClosedResourceError, and closing again is fine",
         closed_sender_is_closed},
    Rule{"what was sent before closing arrives, and then the end, for good",
         sent_before_closing_arrives},
    Rule{"a receiver that is closed forcefully is closed, and breaks the sender",
         forcefully_closed_receiver},
    Rule{"a sender that is closed forcefully is closed, and ends the receiver",
         forcefully_closed_sender},
    Rule{"closing closes also when it is cancelled", cancelled_closing_closes},
    Rule{"cancelled calls can be followed by closing", closes_after_cancelled_calls},
    Rule{"a cancelled receive_some() loses nothing", cancelled_receiving_loses_nothing},
    Rule{"closing the receiver wakes a task that receives", closing_wakes_receiver},
};

}  // namespace

std::span<const Rule> one_way_rules() {
  return kOneWayRules;
}

}  // namespace weft::fibers::testing::detail
