// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#pragma once

#include <source_location>
#include <string>

namespace weft::loop::detail {

// "file.cc:12".
std::string place(const std::source_location& site);

}  // namespace weft::loop::detail
