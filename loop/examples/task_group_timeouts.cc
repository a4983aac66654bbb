// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Tasks that belong together, and limits to how long they may take. In Python:
//
//   async def fetch(name, seconds):
//       try:
//           await asyncio.sleep(seconds)
//       except asyncio.CancelledError:
//           print(name, "is cancelled")
//           raise
//       return name + "!"
//
//   async def fail():
//       await asyncio.sleep(0.001)
//       raise ValueError("no route")
//
//   async def main():
//       async with asyncio.TaskGroup() as tg:
//           one = tg.create_task(fetch("one", 0.001))
//           two = tg.create_task(fetch("two", 0.002))
//       print(one.result(), two.result())
//
//       try:
//           async with asyncio.timeout(0.25), asyncio.TaskGroup() as tg:
//               tg.create_task(fetch("quick", 0.001))
//               tg.create_task(fetch("slow", 3600))
//       except TimeoutError:
//           print("too slow")
//
//       try:
//           async with asyncio.TaskGroup() as tg:
//               tg.create_task(fail())
//               tg.create_task(fetch("sibling", 3600))
//       except* ValueError as group:
//           print(group.exceptions[0])
//
//   asyncio.run(main())
//
// Prints:
//   one! two!
//   slow is cancelled
//   too slow
//   sibling is cancelled
//   std::invalid_argument: no route

#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>

#include "weft/fibers/catch.h"
#include "weft/fibers/clock.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/coro.h"
#include "weft/loop/errors.h"
#include "weft/loop/runner.h"
#include "weft/loop/task_group.h"
#include "weft/loop/timeout.h"

using namespace std::chrono_literals;
using namespace weft::loop;
using weft::fibers::catch_;
using weft::fibers::describe_exception;
using weft::fibers::Duration;
using weft::fibers::ExceptionGroup;
using weft::fibers::on;

Coro<std::string> fetch(std::string name, Duration time) {
  try {
    co_await sleep(time);
  } catch (const CancelledError&) {
    std::cout << name << " is cancelled\n";
    throw;
  }
  co_return name + "!";
}

Coro<void> fail() {
  co_await sleep(1ms);
  throw std::invalid_argument("no route");
}

Coro<void> results() {
  Task<std::string> one;
  Task<std::string> two;
  co_await task_group([&](TaskGroup& tg) -> Coro<void> {
    one = tg.create_task(fetch("one", 1ms));
    two = tg.create_task(fetch("two", 2ms));
    co_return;
  });
  std::cout << one.result() << ' ' << two.result() << '\n';
}

Coro<void> limited() {
  try {
    co_await timeout(250ms).run(task_group([](TaskGroup& tg) -> Coro<void> {
      tg.create_task(fetch("quick", 1ms));
      tg.create_task(fetch("slow", 1h));
      co_return;
    }));
  } catch (const TimeoutError&) {
    std::cout << "too slow\n";
  }
}

Coro<void> failing() {
  co_await task_group([](TaskGroup& tg) -> Coro<void> {
    tg.create_task(fail());
    tg.create_task(fetch("sibling", 1h));
    co_return;
  });
}

int main() {
  run(results());
  run(limited());
  catch_([] { run(failing()); }, on<std::invalid_argument>([](const ExceptionGroup& group) {
           std::cout << describe_exception(group.exceptions()[0]) << '\n';
         }));
}
