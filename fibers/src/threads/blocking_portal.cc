// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/blocking_portal.h"

#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "fibers/src/threads/thread_host.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/detail/keep_error.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lone_error.h"
#include "weft/fibers/token.h"

namespace weft::fibers::detail {

// Outlives the run, for portals do.
struct PortalState {
  explicit PortalState(Nursery& into) : nursery(&into) {}

  const Token token = current_token();
  // --- The run's thread only. ---
  Nursery* nursery;  // Null: closed.
  Event closing;     // Set by who started the run, to end it.

  // `host` is the thread's that calls, if a task of this run waits for that; else null.
  void start(const std::shared_ptr<PortalCall>& call, const std::shared_ptr<ThreadHost>& host) {
    if (nursery == nullptr) {
      return call->refuse(std::make_exception_ptr(
          ClosedResourceError("the blocking portal is closed: its body has ended")));
    }
    try {
      nursery->start_soon(
          [call, host] {
            const ThreadHost::CallsBack waiting_for_us(host.get());
            call->run();
          },
          {.name = "portal"});
    } catch (...) {
      call->refuse(std::current_exception());
    }
  }
  void close(bool cancel) {
    if (cancel && nursery != nullptr) {
      nursery->cancel_scope().cancel("the body of start_blocking_portal threw");
    }
    closing.set();
  }
};

void PortalCall::fail() {
  std::exception_ptr error;
  try {
    keep_current_error(error);
  } catch (...) {
    refuse(error != nullptr ? error : lone_error(std::current_exception()));
    throw;
  }
  refuse(std::move(error));
}

PortalDoor::PortalDoor(Nursery& nursery) : portal_(std::make_shared<PortalState>(nursery)) {}

PortalDoor::~PortalDoor() {
  state()->nursery = nullptr;
}

void require_outside_run() {
  if (in_trio_run()) {
    throw UsageError(
        "BlockingPortal blocks its thread, and this one is inside a run; call the function "
        "directly, use start_task_soon, or go through to_thread::run_sync");
  }
}

void submit_to_portal(const std::shared_ptr<PortalState>& portal,
                      std::shared_ptr<PortalCall> call) {
  const bool of_its_run = host_link != nullptr && host_link->token == portal->token;
  portal->token.run_sync_soon(
      [portal, call = std::move(call), host = of_its_run ? host_link->host : nullptr] {
        portal->start(call, host);
      });
}

namespace {

// A run in a thread of its own, which does nothing but keep a portal open.
class PortalThread {
 public:
  // Throws what the run threw if it did not come so far.
  explicit PortalThread(const RunOptions& options)
      : thread_(sys::thread([this, options] { serve(options); })) {
    try {
      opened_.get_future().get();
    } catch (...) {
      thread_.join();
      throw;
    }
  }
  PortalThread(const PortalThread&) = delete;
  PortalThread& operator=(const PortalThread&) = delete;
  ~PortalThread() = default;

  BlockingPortal& portal() { return *portal_; }

  // Ends the run, after the portal's tasks. Returns what it threw, or null. To be called once.
  std::exception_ptr close(bool cancel) {
    try {
      state_->token.run_sync_soon([state = state_, cancel] { state->close(cancel); });
    } catch (const RunFinishedError&) {
      // It has failed before: that is what is returned.
    }
    thread_.join();
    return error_;
  }

 private:
  void serve(const RunOptions& options) {
    try {
      fibers::run([this] { open_nursery([this](Nursery& nursery) { stay_open(nursery); }); },
                  options);
    } catch (...) {
      error_ = std::current_exception();
      if (state_ == nullptr) opened_.set_exception(error_);
    }
  }
  void stay_open(Nursery& nursery) {
    PortalDoor door(nursery);
    portal_ = door.portal();
    state_ = door.state();
    opened_.set_value();
    state_->closing.wait();
  }

  // Written by the thread before it says that the portal is open, and the error before it ends.
  std::optional<BlockingPortal> portal_;
  std::shared_ptr<PortalState> state_;
  std::exception_ptr error_;
  std::promise<void> opened_;
  std::thread thread_;  // Last: it uses the others.
};

}  // namespace

void run_blocking_portal(const std::function<void(BlockingPortal&)>& body,
                         const RunOptions& options) {
  require_outside_run();
  PortalThread thread(options);
  std::vector<std::exception_ptr> errors;
  try {
    body(thread.portal());
  } catch (...) {
    errors.push_back(std::current_exception());
  }
  if (std::exception_ptr of_run = thread.close(!errors.empty())) {
    errors.push_back(std::move(of_run));
  }
  if (errors.size() == 1) std::rethrow_exception(errors.front());
  if (!errors.empty()) {
    std::rethrow_exception(make_exception_group("exceptions from start_blocking_portal and its run",
                                                std::move(errors)));
  }
}

}  // namespace weft::fibers::detail
