// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#pragma once

#include <string>
#include <typeinfo>

namespace weft::fibers::detail {

// As a program writes it; weft's own names without their namespace, and what std::throw_with_nested
// wraps without the wrapping.
std::string type_name(const std::type_info& type);

}  // namespace weft::fibers::detail
