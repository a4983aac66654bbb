// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Pairing what was expected with what was raised, and the text about what is left over.

#pragma once

#include <optional>
#include <string>
#include <vector>

namespace weft::fibers::detail {

struct Pairing {
  std::vector<std::string> expected;
  std::vector<std::string> raised;
  // reasons[e][r]: why these two do not match; nothing if they do.
  std::vector<std::vector<std::optional<std::string>>> reasons;
};

// Nothing if all can be paired.
std::optional<std::string> explain(Pairing pairing);

}  // namespace weft::fibers::detail
