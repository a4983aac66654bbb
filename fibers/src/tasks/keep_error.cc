// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/detail/keep_error.h"

#include <tuple>
#include <utility>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lone_error.h"

namespace weft::fibers::detail {

void keep_current_error(std::exception_ptr& kept) {
  std::exception_ptr cancelled;
  try {
    throw;
  } catch (const Cancelled&) {
    throw;
  } catch (const BaseExceptionGroup& group) {
    std::exception_ptr rest;
    std::tie(cancelled, rest) =
        group.split([](const std::exception_ptr& leaf) { return holds<Cancelled>(leaf); });
    // The very same object, if that is all.
    if (rest != nullptr) kept = cancelled == nullptr ? std::current_exception() : std::move(rest);
  } catch (...) {
    kept = std::current_exception();
  }
  if (cancelled != nullptr) std::rethrow_exception(bare_cancelled(std::move(cancelled)));
}

}  // namespace weft::fibers::detail
