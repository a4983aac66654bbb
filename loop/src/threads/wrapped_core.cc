// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/wrapped_core.h"

#include <memory>
#include <utility>

#include "weft/fibers/errors.h"
#include "weft/loop/detail/hand_back.h"

namespace weft::loop::detail {

// The call that the loop keeps until the source is done, or the loop is closed.
class WrappedCore::End {
 public:
  explicit End(WrappedCore& of) noexcept : of_(&of) { of.future_.retain(); }
  End(End&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
  End& operator=(End&&) = delete;
  ~End() {
    if (of_ == nullptr) return;
    of_->let_go();
    of_->future_.release();
  }
  void operator()() const { of_->settle(); }

 private:
  WrappedCore* of_;
};

namespace {

// On the thread that ends the source.
struct AskLoop final : ConcurrentCallback {
  explicit AskLoop(HandBack call) noexcept : back(std::move(call)) {}
  void call(ConcurrentFutureCore&) override { back.post(); }
  HandBack back;
};

}  // namespace

void WrappedCore::begin(bool is_job, std::source_location site) {
  is_job_ = is_job;
  HandBack end(future_.loop(), End(*this), site);
  if (is_job) {
    counted_ = true;
    count_work_outside(future_.loop(), 1);
  }
  source_.add_callback(std::make_unique<AskLoop>(std::move(end)));
}

void WrappedCore::let_go() noexcept {
  if (std::exchange(counted_, false)) count_work_outside(future_.loop(), -1);
}

bool WrappedCore::request_cancel(std::exception_ptr payload) {
  if (future_.done()) return false;
  const FutureKeeper kept(future_);
  let_go();
  source_.cancel();
  return future_.FutureCore::cancel(std::move(payload));
}

void WrappedCore::settle() {
  if (future_.done()) return;
  if (source_.cancelled()) {
    future_.FutureCore::cancel(nullptr);
    return;
  }
  try {
    if (std::exception_ptr error = source_.exception(fibers::Duration::zero())) {
      return future_.set_exception(std::move(error));
    }
    take_value();
  } catch (...) {
    // Out of a constructor of the value. Somebody else may have ended the future meanwhile.
    if (!future_.done()) future_.set_exception(std::current_exception());
  }
}

}  // namespace weft::loop::detail
