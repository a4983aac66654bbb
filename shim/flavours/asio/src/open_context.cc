// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/asio/open_context.h"

#include <boost/asio/executor_work_guard.hpp>

#include "weft/fibers/capacity_limiter.h"
#include "weft/fibers/event.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/to_thread.h"
#include "weft/fibers/unwrapped.h"

namespace weft::asio::detail {

namespace {

// A context, and whoever may still stop it.
class ContextThread {
 public:
  ContextThread() = default;
  ContextThread(const ContextThread&) = delete;
  ContextThread& operator=(const ContextThread&) = delete;

  IoContext& context() { return context_; }

  // Throws what a handler throws.
  void turn() {
    fibers::to_thread::run_sync([this] { context_.run(); }, {.limiter = &limiter_});
    ended_.set();
  }
  void wait_for_end() {
    work_.reset();
    ended_.wait();
  }
  // The thread leaves the context after the handler that it is in.
  void stop() { context_.stop(); }

 private:
  IoContext context_;
  ::boost::asio::executor_work_guard<IoContext::executor_type> work_{context_.get_executor()};
  fibers::CapacityLimiter limiter_{1};
  fibers::Event ended_;
};

}  // namespace

void open_context(const std::function<void(IoContext&)>& body) {
  fibers::checkpoint_if_cancelled();
  ContextThread thread;
  fibers::open_unwrapped_nursery([&](fibers::Nursery& nursery) {
    nursery.start_soon([&] { thread.turn(); });
    try {
      body(thread.context());
      thread.wait_for_end();
    } catch (...) {
      thread.stop();
      throw;
    }
  });
}

}  // namespace weft::asio::detail
