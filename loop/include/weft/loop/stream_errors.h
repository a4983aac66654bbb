// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a StreamReader throws when the peer has sent too little or too much.

#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "weft/fibers/detail/requirements.h"

namespace weft::loop {

// The stream ended before what was asked for was complete. (asyncio.IncompleteReadError.)
class IncompleteReadError : public std::runtime_error {
 public:
  IncompleteReadError(std::string partial, std::optional<std::size_t> expected);
  // What came before the end. It has been taken out of the reader.
  const std::string& partial() const { return partial_; }
  // How many bytes were asked for; nothing if it was a separator.
  std::optional<std::size_t> expected() const { return expected_; }

 private:
  std::string partial_;
  std::optional<std::size_t> expected_;
};

// There is no separator within the reader's limit. (asyncio.LimitOverrunError.)
class LimitOverrunError : public std::runtime_error {
 public:
  LimitOverrunError(const std::string& message, std::size_t consumed)
      : std::runtime_error(message), consumed_(consumed) {}
  // How many bytes may be read and dropped without missing a separator.
  std::size_t consumed() const { return consumed_; }

 private:
  std::size_t consumed_;
};

}  // namespace weft::loop
