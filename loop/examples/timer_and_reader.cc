// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A timer that writes into a pipe, and a reader that is called when something is there.
//
// Prints:
//   read: one
//   read: two
//   read: three
//   the other end was closed

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "weft/fibers/main.h"
#include "weft/loop/event_loop.h"

using namespace std::chrono_literals;

void talk(weft::loop::EventLoop& loop, int reader, int writer) {
  std::vector<std::string> words{"three", "two", "one"};
  std::function<void()> say = [&] {
    if (words.empty()) {
      ::close(writer);
      return;
    }
    if (::write(writer, words.back().data(), words.back().size()) > 0) words.pop_back();
    loop.call_later(5ms, say);
  };
  loop.call_soon(say);
  loop.add_reader(reader, [&loop, reader] {
    std::array<char, 64> data{};
    const ssize_t size = ::read(reader, data.data(), data.size());
    if (size > 0) {
      std::cout << "read: " << std::string(data.data(), static_cast<std::size_t>(size)) << '\n';
    } else if (size == 0) {
      std::cout << "the other end was closed\n";
      loop.remove_reader(reader);  // before close(): the number may be somebody else's soon
      ::close(reader);
      loop.stop();
    }
  });
  loop.main_loop();
}

int main() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) return 1;
  return weft::fibers::main([&] {
    weft::fibers::open_nursery([&](weft::fibers::Nursery& nursery) {
      weft::loop::EventLoop loop(nursery);
      talk(loop, ends[0], ends[1]);
    });
  });
}
