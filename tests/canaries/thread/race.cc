// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Tasks of two runs, in two threads, write to one object.
//
// Says: ThreadSanitizer: data race
// Says: 'left #[0-9]+, race\.cc:[0-9]+'
// Says: 'right #[0-9]+, race\.cc:[0-9]+'

#include <atomic>
#include <mutex>
#include <string_view>
#include <thread>

#include "tests/canaries/canary.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"

using namespace weft::fibers;

namespace {

int shared = 0;
std::mutex mutex;
std::atomic<int> present{0};

void write_often(std::string_view name) {
  run([name] {
    open_nursery([name](Nursery& nursery) {
      nursery.start_soon(
          [] {
            // Both threads are at it together: else TSan may have forgotten the first one.
            for (++present; present < 2;) std::this_thread::yield();
            for (int i = 0; i < 1000; ++i) {
              std::unique_lock<std::mutex> lock(mutex, std::defer_lock);
              if (!weft::test::planted()) lock.lock();
              ++shared;
              if (lock) lock.unlock();
              if (i % 100 == 0) checkpoint();
            }
          },
          {.name = name});
    });
  });
}

}  // namespace

int main() {
  std::thread left([] { write_often("left"); });
  std::thread right([] { write_often("right"); });
  left.join();
  right.join();
}
