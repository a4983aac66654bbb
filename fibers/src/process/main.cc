// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/main.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <tuple>

#include "fibers/sys/sys.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/format_exception.h"

namespace weft::fibers::detail {

namespace {

constexpr int kStatusOfError = 1;

void print_error(const std::exception_ptr& error) noexcept {
  try {
    print_exception(error);
  } catch (...) {
    // There is no memory for the text.
    std::fputs("weft: the program ended with an error that cannot be printed\n", stderr);
  }
}

void flush_output() noexcept {
  try {
    for (std::ostream* stream : {&std::cout, &std::cerr, &std::clog}) stream->flush();
    std::wcout.flush();
    sys::throwing("fflush", [] { return std::fflush(nullptr); });
  } catch (...) {
    // A stream with exceptions() on: what it cannot write is lost with the process.
  }
}

// As if nobody had ever handled SIGINT: whoever started the program sees what ended it.
[[noreturn]] void end_by_interrupt() noexcept {
  flush_output();
  sys::signal(SIGINT, SIG_DFL);
  sigset_t interrupt;
  ::sigemptyset(&interrupt);
  ::sigaddset(&interrupt, SIGINT);
  sys::pthread_sigmask(SIG_UNBLOCK, &interrupt, nullptr);
  sys::raise(SIGINT);
  // The first process of a container is not ended by signals that it does not handle.
  std::_Exit(128 + SIGINT);
}

int end_with(const std::exception_ptr& error) noexcept {
  std::exception_ptr interrupts;
  std::exception_ptr others = error;
  try {
    std::tie(interrupts, others) = split(error, is_any_of<KeyboardInterrupt>());
    // What the interrupt has cancelled is no news.
    if (interrupts != nullptr && others != nullptr) {
      others = split(others, is_any_of<Cancelled>()).second;
    }
  } catch (...) {
    // There is no memory for the parts.
  }
  if (others != nullptr) print_error(others);
  if (interrupts != nullptr) end_by_interrupt();
  return kStatusOfError;
}

}  // namespace

int run_program(const std::function<int()>& program) noexcept {
  sys::signal(SIGPIPE, SIG_IGN);
  try {
    return program();
  } catch (...) {
    return end_with(std::current_exception());
  }
}

}  // namespace weft::fibers::detail
