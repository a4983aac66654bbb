// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of streams share.

#pragma once

#include <any>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "tests/loop/sync_testing.h"
#include "weft/loop/detail/stream_access.h"
#include "weft/loop/detail/transport_core.h"
#include "weft/loop/stream_reader.h"
#include "weft/loop/transport.h"

namespace weft::loop::testing {

inline constexpr std::string_view kData = "line1\nline2\nline3\n";

inline std::string_view rest(const StreamReader& reader) {
  return StreamAccess::core(reader)->data();
}

// What `read(reader)` gives, in the given form, while `feed(reader)` runs as a callback after it.
template <class Read, class Feed>
auto read_while(EventLoop& loop, Form form, StreamReader reader, Read read, Feed feed) {
  auto task = start(loop, form, [reader, read]() mutable { return read(reader); });
  loop.call_soon([reader, feed]() mutable { feed(reader); });
  run_iterations(loop, 4);
  return task;
}

// The call throws an E, whose text is returned.
template <class E, class F>
std::string error_of(F&& fn) {
  return thrown<E>([&] { await(fn()); });
}

// A transport that is told everything and does nothing.
class FakeTransport final : public detail::TransportCore {
 public:
  explicit FakeTransport(EventLoop& loop, bool can_pause = true)
      : TransportCore(FutureAccess::core(loop.create_future<void>()).loop()),
        can_pause_(can_pause) {}
  const char* kind() const noexcept override { return "FakeTransport"; }
  void close() override {
    if (!std::exchange(closing_, true)) log.emplace_back("close");
  }
  bool is_closing() const override { return closing_; }
  void force_close(std::exception_ptr) override {
    closing_ = true;
    log.emplace_back("abort");
  }
  void set_protocol(std::shared_ptr<BaseProtocol>) override {}
  std::shared_ptr<BaseProtocol> protocol() const override { return nullptr; }
  void pause_reading() override {
    if (!can_pause_) return TransportCore::pause_reading();
    log.emplace_back("pause");
  }
  void resume_reading() override { log.emplace_back("resume"); }
  void write(std::string_view data) override { log.emplace_back(data); }

  // In the end, when there may be no memory for a log.
  void forget() noexcept { closing_ = true; }

  Log log;

 private:
  bool can_pause_;
  bool closing_ = false;
};

// Owns one reference.
class Fake {
 public:
  explicit Fake(EventLoop& loop, bool can_pause = true)
      : core_(new FakeTransport(loop, can_pause)), transport_(TransportAccess::share(*core_)) {
    core_->release();
  }
  FakeTransport& operator*() const { return *core_; }
  FakeTransport* operator->() const { return core_; }
  const Transport& transport() const { return transport_; }

 private:
  FakeTransport* core_;
  Transport transport_;
};

}  // namespace weft::loop::testing
