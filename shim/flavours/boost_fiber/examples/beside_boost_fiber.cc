// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Code written for Boost.Fiber, unchanged, beside weft's tasks on one thread: a worker that takes
// jobs from a channel of Boost's. What it needs from the world it asks a task for, and tasks with
// deadlines wait for it.
//
// Prints:
//   worker: one
//   task: ONE
//   worker: two
//   task: TWO
//   worker: slow
//   task: too late
//   worker: no more jobs

#include <boost/fiber/all.hpp>
#include <cctype>
#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "weft/boost_fiber/boost_fiber.h"
#include "weft/fibers/run.h"
#include "weft/fibers/timeouts.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;

struct Job {
  std::string word;
  std::shared_ptr<boost::fibers::promise<std::string>> done;
};
using Jobs = boost::fibers::buffered_channel<Job>;

// Stands for the network: written for weft.
static std::string ask(const std::string& word) {
  trio::sleep(word == "slow" ? 1h : 0h);
  std::string answer = word;
  for (char& c : answer) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return answer;
}

// The code that was there.
static void work(Jobs& jobs) {
  for (const Job& job : jobs) {
    std::cout << "worker: " << job.word << '\n';
    try {
      job.done->set_value(weft::trio_as_boost_fiber([&] { return ask(job.word); }));
    } catch (const boost::fibers::fiber_error& error) {
      job.done->set_exception(std::make_exception_ptr(error));
    }
  }
  std::cout << "worker: no more jobs\n";
}

int main() {
  boost::fibers::use_scheduling_algorithm<weft::boost_fiber::Shared<>>();
  Jobs jobs(16);
  boost::fibers::fiber worker([&] { work(jobs); });
  trio::run([&] {
    weft::boost_fiber::share_thread([&] {
      for (const char* word : {"one", "two", "slow"}) {
        const auto done = std::make_shared<boost::fibers::promise<std::string>>();
        const bool in_time = trio::move_on_after(word == std::string("slow") ? 10ms : 10s, [&] {
          const std::string answer = weft::boost_fiber_as_trio(
              [&jobs, word, done] {
                jobs.push({word, done});
                return done->get_future().get();
              },
              {.abandon_on_cancel = true});
          std::cout << "task: " << answer << '\n';
        });
        if (!in_time) std::cout << "task: too late\n";
      }
      jobs.close();
    });  // the task that the worker still waits for is cancelled
  });
  worker.join();
}
