// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/wait_for.h"

#include <utility>
#include <vector>

#include "weft/loop/wait.h"

namespace weft::loop::detail {

Coro<void> cancel_and_wait(FutureBase future) {
  std::vector<FutureBase> futures;
  futures.push_back(std::move(future));
  futures.front().cancel();
  co_await wait_until(futures, {});
}

}  // namespace weft::loop::detail
