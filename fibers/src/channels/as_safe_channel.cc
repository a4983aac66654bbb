// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/as_safe_channel.h"

#include <algorithm>
#include <vector>

#include "weft/fibers/cancelled.h"

namespace weft::fibers::detail {

void stop_producing(CancelScope& producing) {
  producing.cancel("nobody receives from this channel any more");
  checkpoint_if_cancelled();
}

void throw_from_safe_channel(const BaseExceptionGroup& group) {
  std::vector<std::exception_ptr> errors = group.exceptions();
  const std::exception_ptr first = errors.front();
  std::erase_if(errors, [](const std::exception_ptr& error) { return holds<Cancelled>(error); });
  if (errors.empty()) std::rethrow_exception(first);
  if (errors.size() == 1) std::rethrow_exception(errors.front());
  throw;
}

}  // namespace weft::fibers::detail
