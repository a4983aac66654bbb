// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Reads programs of program.py, one a line, and writes the trace of each on weft::loop and an empty
// line. The argument is what tasks are: coroutines, stacks or mixed.

#include <iostream>
#include <string>
#include <string_view>

#include "tests/conformance/differential/machine.h"
#include "weft/fibers/log.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/mock_clock.h"

namespace weft::differential {
namespace {

// What stands at `at`, which is moved behind it.
Node parse(std::string_view text, std::size_t& at) {
  Node node;
  if (text[at] != '(') {
    const std::size_t end = text.find_first_of(" ()", at);
    node.word = text.substr(at, end - at);
    at = end;
    return node;
  }
  ++at;
  while (text.at(at) != ')') {
    if (text[at] == ' ') {
      ++at;
    } else {
      node.list.push_back(parse(text, at));
    }
  }
  ++at;
  return node;
}

std::vector<std::string> trace_of(const Node& program, Form form) {
  fibers::testing::MockClock clock(0.0, fibers::Duration::zero());
  std::vector<std::string> trace;
  fibers::run(
      [&] {
        std::unique_ptr<Machine> machine;  // Outlives the loop, whose tasks end when that closes.
        fibers::open_nursery([&](fibers::Nursery& nursery) {
          loop::EventLoop loop(nursery);
          loop.set_exception_handler([](loop::EventLoop&, const loop::ExceptionContext&) {});
          machine = std::make_unique<Machine>(loop, program, form);
          machine->start();
          loop.main_loop();
          trace = machine->finish();
          loop.close();
        });
      },
      {.clock = &clock});
  return trace;
}

int serve(Form form) {
  fibers::set_log_sink([](fibers::LogLevel, std::string_view) {});
  for (std::string line; std::getline(std::cin, line);) {
    std::size_t at = 0;
    const Node program = parse(line, at);
    for (const std::string& entry : trace_of(program, form)) std::cout << entry << '\n';
    std::cout << '\n';
  }
  return 0;
}

}  // namespace
}  // namespace weft::differential

int main(int argc, char** argv) {
  using weft::differential::Form;
  const std::string_view form = argc == 2 ? argv[1] : "";
  if (form == "coroutines") return weft::differential::serve(Form::kCoroutines);
  if (form == "stacks") return weft::differential::serve(Form::kStacks);
  if (form == "mixed") return weft::differential::serve(Form::kMixed);
  std::cerr << "usage: differential coroutines|stacks|mixed < programs\n";
  return 2;
}
