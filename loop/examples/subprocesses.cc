// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Child processes: one that is fed, one that is listened to, one that takes too long. In Python:
//
//   async def sort(text):
//       process = await asyncio.create_subprocess_exec("sort", "-u", stdin=PIPE, stdout=PIPE)
//       out, err = await process.communicate(text)
//       return out
//
//   async def listen():
//       process = await asyncio.create_subprocess_shell(
//           "for i in 3 2 1; do echo $i; done; exit 7", stdout=PIPE)
//       while line := await process.stdout.readline():
//           print("It says", line)
//       print("and ends with", await process.wait())
//
//   async def lose_patience():
//       process = await asyncio.create_subprocess_exec("sleep", "60")
//       try:
//           await asyncio.wait_for(process.wait(), 0.05)
//       except TimeoutError:
//           process.terminate()
//       print("ended by", await process.wait())
//
//   async def main():
//       print(await sort(b"pear\napple\npear\n"))
//       await listen()
//       await lose_patience()
//
//   asyncio.run(main())
//
// Prints:
//   apple
//   pear
//   It says 3
//   It says 2
//   It says 1
//   and ends with 7
//   ended by -15

#include <chrono>
#include <iostream>
#include <string>

#include "weft/loop/errors.h"
#include "weft/loop/runner.h"
#include "weft/loop/subprocess.h"
#include "weft/loop/wait_for.h"

using namespace std::chrono_literals;
using namespace weft::loop;

Coro<std::string> sort(std::string text) {
  Process process =
      co_await create_subprocess_exec({"sort", "-u"}, {.stdin = kPipe, .stdout = kPipe});
  auto [out, err] = co_await process.communicate(text);
  co_return out;
}

Coro<void> listen() {
  Process process = co_await create_subprocess_shell("for i in 3 2 1; do echo $i; done; exit 7",
                                                     {.stdout = kPipe});
  for (;;) {
    std::string line = co_await process.stdout->readline();
    if (line.empty()) break;
    std::cout << "It says " << line;
  }
  const int code = co_await process.wait();
  std::cout << "and ends with " << code << '\n';
}

Coro<void> lose_patience() {
  Process process = co_await create_subprocess_exec({"sleep", "60"});
  try {
    co_await wait_for(process.wait(), 50ms);
  } catch (const TimeoutError&) {
    process.terminate();
  }
  const int code = co_await process.wait();
  std::cout << "ended by " << code << '\n';
}

Coro<void> run_all() {
  const std::string sorted = co_await sort("pear\napple\npear\n");
  std::cout << sorted;
  co_await listen();
  co_await lose_patience();
}

int main() {
  run(run_all());
}
