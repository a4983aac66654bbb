// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// libuv's errors as C++ has them.

#pragma once

#include <uv.h>

#include <string_view>
#include <system_error>

#include "weft/fibers/detail/requirements.h"

namespace weft::uv {

// Of the negative numbers that libuv returns; its texts are uv_strerror's. Those that are errors of
// the system compare equal to them: error.code() == std::errc::connection_refused.
const std::error_category& uv_category();

// What a call or a callback of libuv's has said.
class Error : public std::system_error {
 public:
  // `code` is libuv's, a UV_E...; `what` names the call.
  Error(int code, std::string_view what);
};

// `result` if it is no error; else throws it.
int check(int result, std::string_view what);

}  // namespace weft::uv
