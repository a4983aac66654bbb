// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/asio/awaitable.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include "shim/src/cancelled_parts.h"

namespace weft::asio::detail {

std::exception_ptr aborted_error() {
  return std::make_exception_ptr(
      ::boost::system::system_error(::boost::asio::error::operation_aborted));
}

PartedError part_error() {
  shim::detail::CancelledParts parts = shim::detail::split_cancelled(std::current_exception());
  if (parts.rest == nullptr) parts.rest = aborted_error();
  return {std::move(parts.rest), std::move(parts.cancelled)};
}

}  // namespace weft::asio::detail
