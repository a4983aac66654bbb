// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "shim/adapters/curl/src/signal.h"

#include <utility>

namespace weft::curl {

void Signal::notify() {
  news_ = true;
  if (auto waiter = std::exchange(waiter_, std::nullopt)) (*waiter)();
}

void Signal::wait() {
  shim::wait_for_callback<void>(
      [this](shim::Completion<void> done) {
        if (news_) {
          done();
        } else {
          waiter_ = std::move(done);
        }
      },
      [this] {
        waiter_.reset();
        return shim::CancelResult::kDone;
      });
  news_ = false;
}

}  // namespace weft::curl
