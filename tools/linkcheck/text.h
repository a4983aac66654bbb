// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

// The small text operations that the parsers share. ASCII only, whatever the locale says.
namespace linkcheck {

inline char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// HTML's white space: tab, line feed, form feed, carriage return, space.
inline bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

std::string lowered(std::string_view text);
std::string_view trimmed(std::string_view text);
bool equal_ignoring_case(std::string_view a, std::string_view b);
bool starts_with_ignoring_case(std::string_view text, std::string_view prefix);
bool ends_with_ignoring_case(std::string_view text, std::string_view suffix);

// What stands before the first `separator`; `text` becomes what stands after it, or empty.
std::string_view take_until(std::string_view& text, char separator);

// Length of the well-formed UTF-8 sequence at the front of a text that is not empty, 0 when there
// is none.
std::size_t utf8_sequence(std::string_view text);

// Appends %XX.
void append_percent(std::string& out, char byte);

// Every %XX decoded; what is not two hexadecimal digits stays as it is.
std::string percent_decoded(std::string_view text);

// As percent_decoded, but nothing when a % is not followed by two hexadecimal digits, or the result
// holds a NUL.
std::optional<std::string> percent_decoded_strictly(std::string_view text);

// A file name as one step of a URL's path.
std::string percent_encoded_step(std::string_view name);

// Text for an HTML page, also inside a quoted attribute.
std::string html_escaped(std::string_view text);

}  // namespace linkcheck
