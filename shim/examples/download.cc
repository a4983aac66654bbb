// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Downloads the URLs given, all at once, five seconds each: the program of the README.

#include <chrono>
#include <iostream>

#include "weft/curl/curl.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/shim.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;

int main(int argc, char** argv) {
  return weft::main([&](weft::EventLoop& loop) {
    loop.call_soon([] {                              // a plain callback of the loop...
      for (;; trio::sleep(200ms)) std::cerr << '.';  // ...that waits: it suspends only itself
    });
    trio::open_nursery([&](trio::Nursery& nursery) {  // ends when all its tasks have ended
      for (int i = 1; i < argc; ++i) {
        nursery.start_soon([url = argv[i]] {
          const bool in_time = trio::move_on_after(5s, [&] {  // cancels whatever waits inside
            const auto page = weft::curl::get(url);
            std::cout << page.status << "  " << page.body.size() << " bytes  " << url << '\n';
          });
          if (!in_time) std::cout << "too slow  " << url << '\n';
        });
      }
    });
  });  // the callback is cancelled, the loop and libcurl are closed: nothing is left
}
