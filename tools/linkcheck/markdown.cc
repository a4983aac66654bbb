// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/page.h"

#include <algorithm>
#include <unordered_map>

#include "tools/linkcheck/text.h"

namespace linkcheck {
namespace {

// Reads a document line by line; a link that is broken over two lines is found when its text, not
// its target, is broken.
class MarkdownReader {
 public:
  Page read(std::string_view text) {
    while (!text.empty()) on_line(take_until(text, '\n'));
    return builder_.finish();
  }

 private:
  void on_line(std::string_view line);
  void on_heading(std::string_view line);
  void on_text(std::string_view line);
  bool on_definition(std::string_view line);
  void on_target(std::string_view rest);

  PageBuilder builder_;
  std::unordered_map<std::string, int> slugs_;
  std::string fence_;  // what closes the code block we are in; empty outside
};

std::string_view fence_of(std::string_view line) {
  for (const char mark : {'`', '~'}) {
    const std::size_t length = std::min(line.find_first_not_of(mark), line.size());
    if (length >= 3) return line.substr(0, length);
  }
  return {};
}

// Code spans become blanks, so that what is in them is no link.
std::string without_code(std::string_view line) {
  std::string result(line);
  for (std::size_t at = 0; (at = result.find('`', at)) != std::string::npos;) {
    const std::size_t length = std::min(result.find_first_not_of('`', at), result.size()) - at;
    const std::string mark(length, '`');
    const std::size_t end = result.find(mark, at + length);
    if (end == std::string::npos) return result;
    std::fill(result.begin() + static_cast<std::ptrdiff_t>(at),
              result.begin() + static_cast<std::ptrdiff_t>(end + length), ' ');
    at = end + length;
  }
  return result;
}

// A heading's name as forges make it: lower case, blanks to dashes, punctuation dropped.
std::string slug_of(std::string_view heading) {
  std::string slug;
  for (const char c : heading) {
    const char small = lower(c);
    if (c == ' ') {
      slug += '-';
    } else if ((small >= 'a' && small <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
               static_cast<unsigned char>(c) >= 0x80) {
      slug += small;
    }
  }
  return slug;
}

// "[text](target)" in a heading counts as "text".
std::string without_targets(std::string_view heading) {
  std::string result(heading);
  for (std::size_t at = 0; (at = result.find("](", at)) != std::string::npos;) {
    const std::size_t end = result.find(')', at);
    if (end == std::string::npos) break;
    result.erase(at, end - at + 1);
  }
  return result;
}

void MarkdownReader::on_line(std::string_view line) {
  const std::string_view text = trimmed(line);
  const std::string_view fence = fence_of(text);
  if (!fence_.empty()) {
    if (!fence.empty() && fence.front() == fence_.front() && fence.size() >= fence_.size()) {
      fence_.clear();
    }
    return;
  }
  if (!fence.empty()) {
    fence_ = std::string(fence);
    return;
  }
  if (!text.empty() && text.front() == '#') on_heading(text);
  const std::string bare = without_code(text);
  if (!on_definition(bare)) on_text(bare);
}

void MarkdownReader::on_heading(std::string_view line) {
  const std::size_t level = line.find_first_not_of('#');
  if (level == std::string_view::npos || level > 6 || line[level] != ' ') return;
  const std::string slug = slug_of(without_targets(trimmed(line.substr(level))));
  const int before = slugs_[slug]++;
  builder_.add_anchor(before == 0 ? slug : slug + "-" + std::to_string(before));
}

// "[name]: target"
bool MarkdownReader::on_definition(std::string_view line) {
  if (line.empty() || line.front() != '[') return false;
  const std::size_t end = line.find("]:");
  if (end == std::string_view::npos || line.find(']') != end) return false;
  on_target(trimmed(line.substr(end + 2)));
  return true;
}

void MarkdownReader::on_text(std::string_view line) {
  for (std::size_t at = 0; at < line.size(); ++at) {
    const std::string_view rest = line.substr(at);
    if (rest.substr(0, 2) == "](") on_target(rest.substr(2));
    if (rest.substr(0, 8) == "<http://" || rest.substr(0, 9) == "<https://") on_target(rest);
    for (const std::string_view attribute : {"href=\"", "src=\"", "id=\"", "name=\""}) {
      if (rest.substr(0, attribute.size()) != attribute) continue;
      std::string_view value = rest.substr(attribute.size());
      value = value.substr(0, value.find('"'));
      const bool anchor = attribute.front() == 'i' || attribute.front() == 'n';
      anchor ? builder_.add_anchor(value) : builder_.add_link(value);
    }
  }
}

// A target at the front of `rest`: "<a b>", "a(b)c)", "a "title")".
void MarkdownReader::on_target(std::string_view rest) {
  if (!rest.empty() && rest.front() == '<') {
    builder_.add_link(rest.substr(1, rest.find('>') - 1));
    return;
  }
  int open = 0;
  std::size_t end = 0;
  for (; end < rest.size() && !is_space(rest[end]); ++end) {
    if (rest[end] == '(') ++open;
    if (rest[end] == ')' && open-- == 0) break;
  }
  if (end > 0) builder_.add_link(rest.substr(0, end));
}

}  // namespace

Page read_markdown(std::string_view text) {
  return MarkdownReader().read(text);
}

}  // namespace linkcheck
