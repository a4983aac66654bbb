// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/type_name.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string_view>

namespace weft::fibers::detail {

std::string type_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  std::string_view name = status == 0 ? demangled.get() : type.name();
  // What std::throw_with_nested throws is what it was given, and a little more.
  constexpr std::string_view kNested = "std::_Nested_exception<";
  if (name.starts_with(kNested)) {
    name.remove_prefix(kNested.size());
    name.remove_suffix(name.ends_with(" const>") ? 7 : 1);
  }
  constexpr std::string_view kOurs = "weft::fibers::";
  if (name.starts_with(kOurs)) name.remove_prefix(kOurs.size());
  return std::string(name);
}

}  // namespace weft::fibers::detail
