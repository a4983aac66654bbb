// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The rules for a direction of a stream that has no room at the moment.

#include <array>

#include "fibers/src/testing/stream_rules.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::fibers::testing::detail {

namespace {

void waits_until_unclogged(const Ends& ends) {
  bool receiving = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      wait_to_send(ends.s);
      if (!receiving) broken("wait_send_all_might_not_block() did not wait for room");
      nursery.cancel_scope().cancel();
    });
    wait_all_tasks_blocked();
    receiving = true;
    for (;;) ends.r.receive_some(16384);
  });
}

void one_task_waits(const Ends& ends) {
  const auto wait = [&] { ends.s.wait_send_all_might_not_block(); };
  expect_busy("two tasks in wait_send_all_might_not_block()", wait, wait);
}

void one_task_waits_or_sends(const Ends& ends) {
  expect_busy(
      "one task in wait_send_all_might_not_block() and one in send_all()",
      [&] { ends.s.wait_send_all_might_not_block(); }, [&] { ends.s.send_all("123"); });
}

void one_task_sends(const Ends& ends) {
  const auto send_some = [&] { ends.s.send_all("123"); };
  expect_busy("two tasks in send_all()", send_some, send_some);
}

// It may return, because send_all() would not wait now, or say why.
void wait_to_send_or_broken(SendStream& s) {
  try {
    wait_to_send(s);
  } catch (const BrokenResourceError&) {
  }
}

void closed_receiver_ends_waiting(const Ends& ends) {
  together([&] { wait_to_send_or_broken(ends.s); },
           [&] {
             wait_all_tasks_blocked();
             aclose_forcefully(ends.r);
           });
}

void no_waiting_for_closed_receiver(const Ends& ends) {
  aclose_forcefully(ends.r);
  wait_to_send_or_broken(ends.s);
}

void closing_wakes_sender(const Ends& ends) {
  expect_woken(
      "send_all()", [&] { ends.s.send_all("xyzzy"); }, [&] { aclose_forcefully(ends.s); });
}

void closing_wakes_waiter(const Ends& ends) {
  expect_woken(
      "wait_send_all_might_not_block()", [&] { ends.s.wait_send_all_might_not_block(); },
      [&] { aclose_forcefully(ends.s); });
}

constexpr std::array kCloggedRules = {
    Rule{"wait_send_all_might_not_block() waits until there is room", waits_until_unclogged},
    Rule{"two tasks cannot wait for room at once", one_task_waits},
    Rule{"two tasks cannot wait for room and send at once", one_task_waits_or_sends},
    Rule{"two tasks cannot send at once", one_task_sends},
    Rule{"closing the receiver ends waiting for room", closed_receiver_ends_waiting},
    Rule{"nobody waits for room in a stream whose receiver is closed",
         no_waiting_for_closed_receiver},
    Rule{"closing the sender wakes a task that sends", closing_wakes_sender},
    Rule{"closing the sender wakes a task that waits for room", closing_wakes_waiter},
};

}  // namespace

std::span<const Rule> clogged_rules() {
  return kCloggedRules;
}

}  // namespace weft::fibers::testing::detail
