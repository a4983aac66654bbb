// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/text.h"

namespace weft::fibers::detail {

std::string_view Piece::digits(std::array<char, 21>& storage) const {
  char* at = storage.data() + storage.size();
  const bool negative = is_signed_ && static_cast<std::int64_t>(value_) < 0;
  std::uint64_t left = negative ? 0 - value_ : value_;
  do {
    *--at = static_cast<char>('0' + left % 10);
    left /= 10;
  } while (left > 0);
  if (negative) *--at = '-';
  return {at, storage.data() + storage.size()};
}

void append(std::string& text, std::initializer_list<Piece> pieces) {
  for (const Piece& piece : pieces) {
    std::array<char, 21> number;
    text += piece.text_ == nullptr               ? piece.digits(number)
            : piece.value_ == Piece::kTerminated ? std::string_view(piece.text_)
                                                 : std::string_view(piece.text_, piece.value_);
  }
}

std::string concat(std::initializer_list<Piece> pieces) {
  std::string text;
  append(text, pieces);
  return text;
}

}  // namespace weft::fibers::detail
