// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/testing/fault_limit.h"

#include <array>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

#include "fibers/src/testing/fault_gate.h"
#include "fibers/sys/sys.h"

namespace weft::fibers::testing {

namespace {

// For the handler of SIGABRT, which whatever goes wrong badly comes to: terminate(), assertions.
std::array<char, 256> g_token{};

void say(const char* text) {
  [[maybe_unused]] const ssize_t n = sys::write(STDERR_FILENO, text, std::strlen(text));
}

// abort() goes on when this has returned.
void on_abort(int) {
  say("weft: this happened in a fault sweep, when ");
  say(FaultGate::instance().place());
  say("; to run it alone: WEFT_FAULT=");
  say(g_token.data());
  say("\n");
}

}  // namespace

class FaultLimit::Watch {
 public:
  explicit Watch(Duration limit) : limit_(limit), thread_([this] { watch(); }) {
    struct sigaction action {};
    action.sa_handler = &on_abort;
    sys::sigaction(SIGABRT, &action, &before_);
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() {
    sys::sigaction(SIGABRT, &before_, nullptr);
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  void begin(const std::string& token) {
    std::snprintf(g_token.data(), g_token.size(), "%s", token.c_str());
    {
      const std::lock_guard lock(mutex_);
      running_ = true;
      ++runs_;
    }
    changed_.notify_one();
  }
  void end() {
    const std::lock_guard lock(mutex_);
    running_ = false;
  }

 private:
  void watch() {
    std::unique_lock lock(mutex_);
    while (!over_) {
      changed_.wait(lock, [this] { return running_ || over_; });
      const std::size_t run = runs_;
      const bool ended =
          changed_.wait_for(lock, limit_, [&] { return !running_ || over_ || runs_ != run; });
      if (!ended) {
        say("weft: a run with a fault does not end\n");
        std::abort();
      }
    }
  }

  const Duration limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool running_ = false;
  bool over_ = false;
  std::size_t runs_ = 0;
  struct sigaction before_ {};
  std::thread thread_;  // Last: it uses the others.
};

FaultLimit::FaultLimit(Duration limit) : watch_(std::make_unique<Watch>(limit)) {}
FaultLimit::~FaultLimit() = default;

void FaultLimit::begin(const std::string& token) {
  watch_->begin(token);
}
void FaultLimit::end() {
  watch_->end();
}

}  // namespace weft::fibers::testing
