// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A guest run in a bare poll(2) loop, for tests that run both ways: with a helper thread, and
// polled.

#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "tests/support/poll_host.h"
#include "weft/fibers/guest.h"

namespace weft::fibers::testing {

// The last one polls, and takes ticks of its own thread's besides.
enum class Way : std::uint8_t { kThread, kPolled, kPolledAndPosted };

inline std::string way_name(const ::testing::TestParamInfo<Way>& way) {
  if (way.param == Way::kThread) return "InThread";
  return way.param == Way::kPolled ? "Polled" : "PolledAndPosted";
}

// A poll loop and its guest.
class Hosted {
 public:
  explicit Hosted(Way way) : way_(way) {}

  template <class F>
  void start(F&& main, RunOptions options = {}) {
    using T = std::invoke_result_t<F>;
    GuestOptions<T> guest{.done_callback = [this](Outcome<T> outcome) { end(outcome); },
                          .run = std::move(options)};
    const auto post = [this](GuestTick tick) {
      host.post([this, tick = std::move(tick)] {
        ++ticks;
        tick();
        if (way_ != Way::kThread && run && run->done()) host.unwatch();
      });
    };
    if (way_ == Way::kThread) guest.run_sync_soon_threadsafe = post;
    if (way_ == Way::kPolledAndPosted) guest.run_sync_soon_not_threadsafe = post;
    run.emplace(start_guest_run(std::forward<F>(main), std::move(guest)));
    if (way_ != Way::kThread) {
      host.watch(run->pollable_fd(), [this] {
        ++ticks;
        if (!run->tick()) host.unwatch();
      });
    }
  }
  void finish() {
    while (!done) host.turn();
    if (error != nullptr) std::rethrow_exception(error);
  }
  // Until the guest is at rest, and so is the host.
  void settle() {
    while (host.busy()) host.turn();
  }

  test::PollHost host;
  std::optional<GuestRun> run;
  int ticks = 0;
  bool done = false;
  std::exception_ptr error;

 private:
  template <class T>
  void end(Outcome<T>& outcome) {
    EXPECT_FALSE(done);
    done = true;
    error = outcome.error();
  }
  Way way_;
};

// Runs main(host) to its end.
template <class F>
void run_hosted(Way way, F main, const RunOptions& options = {}) {
  Hosted hosted(way);
  hosted.start([&] { main(hosted.host); }, options);
  hosted.finish();
}

}  // namespace weft::fibers::testing
