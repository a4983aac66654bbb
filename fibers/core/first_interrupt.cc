// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The body of a main() that is cancelled by the first Ctrl-C.

#include <exception>
#include <functional>
#include <utility>

#include "fibers/core/current_scheduler.h"
#include "fibers/core/nursery_access.h"
#include "fibers/core/pending_interrupt.h"
#include "fibers/core/scheduler.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/main.h"

namespace weft::fibers::detail {

namespace {

// What becomes of the first Ctrl-C while the body runs.
class FirstInterrupt {
 public:
  explicit FirstInterrupt(Scheduler& scheduler) : scheduler_(scheduler) {
    // One that no wait has met before the body is the first, too.
    if (scheduler.interrupt().take() != nullptr) {
      cancel_by_interrupt(scope_);
    } else {
      scheduler.interrupt().cancels_first = &scope_;
    }
  }
  FirstInterrupt(const FirstInterrupt&) = delete;
  FirstInterrupt& operator=(const FirstInterrupt&) = delete;
  ~FirstInterrupt() { scheduler_.interrupt().cancels_first = nullptr; }

  int run(const std::function<int()>& body) {
    int status = 0;
    scope_.run([&] {
      status = body();
      // A body that has been told of it and returns all the same means it: that is no mistake to
      // warn of.
      heeded_ = std::exchange(ScopeAccess::status(scope_).delivered, false);
      if (heeded_) scheduler_.swallowed().forget(*scheduler_.running());
    });
    return status;
  }
  bool came() { return scope_.cancel_called(); }
  bool returned_all_the_same() const { return heeded_; }

 private:
  Scheduler& scheduler_;
  CancelScope scope_;
  bool heeded_ = false;
};

}  // namespace

int cancelled_by_interrupt(const std::function<int()>& body) {
  FirstInterrupt first(current_scheduler());
  std::exception_ptr error;
  try {
    const int status = first.run(body);
    if (!first.came() || first.returned_all_the_same()) return status;
  } catch (const Cancelled&) {
    // What is around was cancelled, too.
    if (!first.came()) throw;
  } catch (...) {
    if (!first.came()) throw;
    error = std::current_exception();
  }
  std::rethrow_exception(with_interrupt(std::make_exception_ptr(KeyboardInterrupt()),
                                        std::move(error), "interrupted, and ended with an error"));
}

}  // namespace weft::fibers::detail
