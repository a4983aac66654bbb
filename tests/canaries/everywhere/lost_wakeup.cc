// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task looks whether there is something for it, gives the others a turn, and then waits to be
// woken: whoever brings something in between wakes nobody. Not every schedule shows it.
//
// Says: to run it alone: WEFT_REPLAY=
// Says: consumer #[0-9]+ waits for something to do
// Says: ─ consumer #[0-9]+  waiting for something to do  started at lost_wakeup\.cc:[0-9]+

#include "tests/canaries/canary.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/explore.h"

using namespace weft::fibers;

namespace {

struct Mailbox {
  int items = 0;
  Task* consumer = nullptr;  // While it waits.

  void put() {
    ++items;
    if (consumer != nullptr) reschedule(*std::exchange(consumer, nullptr));
  }
  void take() {
    if (items == 0) {
      if (weft::test::planted()) checkpoint();
      consumer = &current_task();
      wait_task_rescheduled(
          [this](const RaiseCancel&) {
            consumer = nullptr;
            return Abort::kSucceeded;
          },
          {"something to do"});
    }
    --items;
  }
};

}  // namespace

int main() {
  return weft::test::report_errors([] {
    testing::explore([] {
      Mailbox mailbox;
      open_nursery([&](Nursery& nursery) {
        nursery.start_soon([&] { mailbox.take(); }, {.name = "consumer"});
        nursery.start_soon([&] { mailbox.put(); }, {.name = "producer"});
      });
    });
  });
}
