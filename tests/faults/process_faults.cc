// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "tests/faults/faults_testing.h"
#include "weft/fibers/fd_stream.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/process.h"
#include "weft/fibers/run_process.h"
#include "weft/fibers/signals.h"

namespace weft::fibers::testing {
namespace {

FAULT_TEST(ProcessFaults, Pipes) {
  auto [send, receive] = open_pipe();
  open_nursery([&, &sender = send, &receiver = receive](Nursery& nursery) {
    nursery.start_soon([&] {
      sender.send_all("through a pipe");
      sender.aclose();
    });
    std::string all;
    for (std::string part; !(part = receiver.receive_some(64)).empty();) all += part;
    EXPECT_EQ(all, "through a pipe");
  });
}

FAULT_TEST(ProcessFaults, RunProcess) {
  const CompletedProcess done =
      run_process({"cat"}, {.stdin = "words for the child", .capture_stdout = true});
  // A child may close its end early, and run_process() does not mind, as Trio's does not.
  EXPECT_TRUE(done.stdout == "words for the child" || done.stdout->empty()) << *done.stdout;
}

FAULT_TEST(ProcessFaults, AProcessThatIsKilled) {
  const auto process = open_process({"sleep", "60"}, {.stdin = kPipe, .stdout = kDevNull});
  struct Kill {
    Process& process;
    // Whatever has failed.
    ~Kill() { ::kill(process.pid(), SIGKILL); }
  } const at_end{*process};
  process->kill();
  EXPECT_EQ(process->wait(), -SIGKILL);
}

TEST(ProcessFaults, SignalReceiver) {
  expect_no_fault_harms(
      [] {
        open_signal_receiver({SIGUSR1, SIGUSR2}, [](SignalReceiver& signals) {
          ::raise(SIGUSR1);
          EXPECT_EQ(signals.receive(), SIGUSR1);
          ::raise(SIGUSR2);
          EXPECT_EQ(signals.receive(), SIGUSR2);
        });
      },
      {.own_thread = false});
}

}  // namespace
}  // namespace weft::fibers::testing
