// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/page.h"

#include <algorithm>
#include <functional>

#include "tools/linkcheck/text.h"

namespace linkcheck {

std::uint64_t anchor_hash(std::string_view name) {
  return std::hash<std::string_view>()(name);
}

bool has_anchor(const std::vector<std::uint64_t>& sorted_hashes, std::string_view fragment) {
  // "#:~:text=..." is a search in the text, not an anchor; what stands before it is one.
  fragment = fragment.substr(0, fragment.find(":~:"));
  if (fragment.empty() || equal_ignoring_case(fragment, "top")) return true;
  return std::binary_search(sorted_hashes.begin(), sorted_hashes.end(), anchor_hash(fragment));
}

bool Page::has_anchor(std::string_view fragment) const {
  return linkcheck::has_anchor(anchors, fragment);
}

void PageBuilder::add_link(std::string_view reference) {
  const auto [at, fresh] = seen_.try_emplace(std::string(trimmed(reference)), page_.links.size());
  if (fresh) {
    page_.links.push_back({at->first, 1});
  } else {
    ++page_.links[at->second].count;
  }
}

void PageBuilder::add_anchor(std::string_view name) {
  if (!name.empty()) page_.anchors.push_back(anchor_hash(name));
}

void PageBuilder::set_base(std::string_view reference) {
  if (page_.base.empty()) page_.base = std::string(trimmed(reference));
}

void PageBuilder::set_note(std::string note) {
  if (page_.note.empty()) page_.note = std::move(note);
}

Page PageBuilder::finish() {
  std::sort(page_.anchors.begin(), page_.anchors.end());
  page_.anchors.erase(std::unique(page_.anchors.begin(), page_.anchors.end()), page_.anchors.end());
  page_.anchors.shrink_to_fit();
  seen_.clear();
  return std::move(page_);
}

std::vector<std::string> srcset_urls(std::string_view value) {
  std::vector<std::string> urls;
  while (true) {
    while (!value.empty() && (is_space(value.front()) || value.front() == ',')) {
      value.remove_prefix(1);
    }
    if (value.empty()) return urls;
    const auto end = std::find_if(value.begin(), value.end(), is_space);
    std::string_view url = value.substr(0, static_cast<std::size_t>(end - value.begin()));
    value.remove_prefix(url.size());
    if (url.back() == ',') {  // no descriptor; a comma inside the URL is the URL's own
      while (!url.empty() && url.back() == ',') url.remove_suffix(1);
    } else {
      take_until(value, ',');
    }
    if (!url.empty()) urls.emplace_back(url);
  }
}

std::string refresh_target(std::string_view content) {
  const std::size_t separator = content.find_first_of(";,");
  if (separator == std::string_view::npos) return "";
  std::string_view rest = trimmed(content.substr(separator + 1));
  if (starts_with_ignoring_case(rest, "url")) {
    const std::string_view after = trimmed(rest.substr(3));
    if (!after.empty() && after.front() == '=') rest = trimmed(after.substr(1));
  }
  if (!rest.empty() && (rest.front() == '"' || rest.front() == '\'')) {
    const char quote = rest.front();
    rest.remove_prefix(1);
    rest = rest.substr(0, rest.find(quote));
  }
  return std::string(trimmed(rest));
}

PageKind page_kind(std::string_view content_type) {
  const std::string_view type = trimmed(content_type.substr(0, content_type.find(';')));
  if (equal_ignoring_case(type, "text/html") ||
      equal_ignoring_case(type, "application/xhtml+xml")) {
    return PageKind::kHtml;
  }
  return equal_ignoring_case(type, "text/markdown") ? PageKind::kMarkdown : PageKind::kNone;
}

std::string charset_of(std::string_view content_type) {
  take_until(content_type, ';');
  while (!content_type.empty()) {
    std::string_view parameter = trimmed(take_until(content_type, ';'));
    const std::string_view name = trimmed(take_until(parameter, '='));
    std::string_view value = trimmed(parameter);
    if (!equal_ignoring_case(name, "charset")) continue;
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    return std::string(value);
  }
  return "";
}

}  // namespace linkcheck
