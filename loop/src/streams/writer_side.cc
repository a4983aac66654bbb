// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/writer_side.h"

#include <utility>

namespace weft::loop::detail {

void WriterSide::closed(std::exception_ptr error) {
  error_ = error;
  closed_.set();
  flow_.connection_lost(std::move(error));
}

Coro<void> WriterSide::wait_closed() {
  co_await closed_.wait();
  if (error_ != nullptr) std::rethrow_exception(error_);
}

}  // namespace weft::loop::detail
