// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/text.h"

#include <array>
#include <charconv>

namespace weft::fibers::detail {

void append(std::string& text, std::initializer_list<Piece> pieces) {
  for (const Piece& piece : pieces) {
    if (piece.text_ != nullptr) {
      text += piece.value_ == Piece::kTerminated ? std::string_view(piece.text_)
                                                 : std::string_view(piece.text_, piece.value_);
      continue;
    }
    std::uint64_t number = piece.value_;
    if (piece.is_signed_ && static_cast<std::int64_t>(number) < 0) {
      text += '-';
      number = 0 - number;
    }
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    text.append(digits.data(), end.ptr);
  }
}

std::string concat(std::initializer_list<Piece> pieces) {
  std::string text;
  append(text, pieces);
  return text;
}

}  // namespace weft::fibers::detail
