// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Text put together from pieces, by one function that is not inlined. A chain of operator+ and
// std::to_string compiles to hundreds of bytes wherever it stands, and the kernel's reports are
// dozens of such chains, in every program.

#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace weft::fibers::detail {

// A text or a number. It refers to the text and does not keep it.
class Piece {
 public:
  constexpr Piece(const char* text) : text_(text), value_(kTerminated) {}
  constexpr Piece(std::string_view text)
      : text_(text.data() != nullptr ? text.data() : ""), value_(text.size()) {}
  Piece(const std::string& text) : text_(text.data()), value_(text.size()) {}
  template <std::unsigned_integral Number>
  constexpr Piece(Number number) : value_(number) {}
  template <std::signed_integral Number>
  constexpr Piece(Number number) : value_(static_cast<std::uint64_t>(number)), is_signed_(true) {}

 private:
  friend void append(std::string& text, std::initializer_list<Piece> pieces);

  std::string_view digits(std::array<char, 21>& storage) const;

  static constexpr std::uint64_t kTerminated = ~std::uint64_t{0};

  const char* text_ = nullptr;  // Null: a number.
  std::uint64_t value_;         // The number, or the length; kTerminated: up to the null byte.
  bool is_signed_ = false;
};

void append(std::string& text, std::initializer_list<Piece> pieces);

// concat({"task '", task.name(), "' #", task.number})
std::string concat(std::initializer_list<Piece> pieces);

}  // namespace weft::fibers::detail
