// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "shim/flavours/asio/src/two_loops.h"

#include <utility>
#include <vector>

#include "weft/fibers/exception_group.h"

namespace weft::asio::detail {

void throw_both(std::exception_ptr one, std::exception_ptr other) {
  std::vector<std::exception_ptr> both;
  both.push_back(std::move(one));
  both.push_back(std::move(other));
  std::rethrow_exception(fibers::make_exception_group(
      "a handler in the io_context has failed, and what ran in it", std::move(both)));
}

}  // namespace weft::asio::detail
