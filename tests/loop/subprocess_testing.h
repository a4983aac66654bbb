// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of children and pipes share.

#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/format_exception.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/subprocess_transport.h"

namespace weft::loop::testing {

// " (error)", or nothing.
inline std::string said(const std::exception_ptr& error) {
  return error == nullptr ? "" : " with an error";
}

// Notes what it is told.
struct NotingChild : SubprocessProtocol {
  explicit NotingChild(EventLoop& loop)
      : lost(loop.create_future<void>()), exited(loop.create_future<void>()) {}
  void connection_made(SubprocessTransport made) override {
    log.emplace_back("made");
    transport = std::move(made);
  }
  void pipe_data_received(int fd, std::string_view data) override {
    (fd == 1 ? out : err).append(data);
  }
  void pipe_connection_lost(int fd, std::exception_ptr error) override {
    log.push_back("pipe " + std::to_string(fd) + " lost" + said(error));
  }
  void process_exited() override {
    if (!exited.done()) exited.set_result();  // First: the log may have no memory.
    log.emplace_back("exited");
  }
  void connection_lost(std::exception_ptr error) override {
    if (!lost.done()) lost.set_result();  // First: the log may have no memory.
    log.push_back("lost" + said(error));
  }
  // Where `what` stands in the log; past its end if it does not.
  std::size_t place_of(std::string_view what) const {
    std::size_t place = 0;
    while (place < log.size() && log[place] != what) ++place;
    return place;
  }

  SubprocessTransport transport;
  std::vector<std::string> log;
  std::string out;
  std::string err;
  Future<void> lost;
  Future<void> exited;
};

// A stream's.
struct NotingStream : Protocol {
  explicit NotingStream(EventLoop& loop) : lost(loop.create_future<void>()) {}
  void connection_made(Transport made) override {
    log.emplace_back("made");
    transport = std::move(made);
  }
  void data_received(std::string_view data) override {
    log.emplace_back("data");
    received.append(data);
  }
  bool eof_received() override {
    log.emplace_back("eof");
    return false;
  }
  void pause_writing() override { log.emplace_back("pause"); }
  void resume_writing() override { log.emplace_back("resume"); }
  void connection_lost(std::exception_ptr error) override {
    if (!lost.done()) lost.set_result();  // First: the log may have no memory.
    why = error;
    log.push_back("lost" + said(error));
  }

  Transport transport;
  std::vector<std::string> log;
  std::string received;
  std::exception_ptr why;
  Future<void> lost;
};

}  // namespace weft::loop::testing
