// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/curl/headers.h"

#include <algorithm>

namespace weft::curl {

namespace {

// Of most responses, so that few grow again.
constexpr std::size_t kUsualSize = 512;

// Header names are ASCII; the locale must not matter.
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

Header Headers::Iterator::operator*() const {
  const std::string_view line = rest_.substr(0, rest_.find('\n'));
  const std::size_t colon = line.find(':');
  return {line.substr(0, colon), line.substr(colon + 1)};
}

std::size_t Headers::size() const {
  return static_cast<std::size_t>(std::ranges::count(text_, '\n'));
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
  for (const Header header : *this) {
    if (same_name(header.name, name)) return header.value;
  }
  return std::nullopt;
}

void Headers::add_line(std::string_view line) {
  const bool continues = !line.empty() && (line.front() == ' ' || line.front() == '\t');
  if (continues) {
    if (text_.empty()) return;
    text_.back() = ' ';
    text_.append(trimmed(line)).push_back('\n');
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  if (text_.empty()) text_.reserve(kUsualSize);
  text_.append(line.substr(0, colon + 1)).append(trimmed(line.substr(colon + 1))).push_back('\n');
}

}  // namespace weft::curl
