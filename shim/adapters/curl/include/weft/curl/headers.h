// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The header lines of a response. They stay as the server sent them, in one piece of memory, and
// are taken apart when somebody asks.

#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

#include "weft/fibers/detail/requirements.h"

namespace weft::curl {

// Both are parts of the Headers that they come from, and live as long as these.
struct Header {
  std::string_view name;
  std::string_view value;
};

// A value. A range of Header, in the order in which they came.
class Headers {
 public:
  class Iterator {
   public:
    using value_type = Header;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::input_iterator_tag;
    using pointer = const Header*;
    using reference = Header;

    Iterator() = default;
    explicit Iterator(std::string_view rest) : rest_(rest) {}
    Header operator*() const;
    Iterator& operator++() {
      rest_.remove_prefix(rest_.find('\n') + 1);
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) {
      return a.rest_.size() == b.rest_.size();
    }

   private:
    std::string_view rest_;  // Of Headers::text_, from this header on.
  };

  Iterator begin() const { return Iterator(text_); }
  Iterator end() const { return Iterator(); }
  bool empty() const { return text_.empty(); }
  std::size_t size() const;

  // The value of the first header of that name, in any case of letters.
  std::optional<std::string_view> find(std::string_view name) const;

  // Adds a line as it comes over the wire, "Name: value". One that begins with a blank continues
  // the line before it. A line without a colon is dropped.
  void add_line(std::string_view line);
  void clear() { text_.clear(); }

 private:
  std::string text_;  // "Name:value\n" for each, without blanks around the value.
};

}  // namespace weft::curl
