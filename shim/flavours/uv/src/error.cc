// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/uv/error.h"

#include <string>

namespace weft::uv {

namespace {

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "libuv"; }
  std::string message(int code) const override { return uv_strerror(code); }
  std::error_condition default_error_condition(int code) const noexcept override {
    // From 3000 on they are libuv's own, those of getaddrinfo first.
    if (code < 0 && code > -3000) return std::generic_category().default_error_condition(-code);
    return {code, *this};
  }
};

}  // namespace

const std::error_category& uv_category() {
  static const Category category;
  return category;
}

Error::Error(int code, std::string_view what)
    : std::system_error(code, uv_category(), std::string(what)) {}

int check(int result, std::string_view what) {
  if (result < 0) throw Error(result, what);
  return result;
}

}  // namespace weft::uv
