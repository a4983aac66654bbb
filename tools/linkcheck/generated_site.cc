// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/site.h"

#include <charconv>
#include <optional>

#include "tools/linkcheck/http_message.h"

namespace linkcheck {
namespace {

constexpr std::uint32_t kChildren = 8;
constexpr std::uint32_t kMissingPageEvery = 50;
constexpr std::uint32_t kMissingAnchorEvery = 97;
constexpr std::uint32_t kRedirectEvery = 40;
constexpr int kParts = 4;

// The number in "<prefix>123<suffix>", nothing when the path is another.
std::optional<std::uint32_t> number_in(std::string_view path, std::string_view prefix,
                                       std::string_view suffix) {
  if (path.size() <= prefix.size() + suffix.size() || path.substr(0, prefix.size()) != prefix ||
      path.substr(path.size() - suffix.size()) != suffix) {
    return std::nullopt;
  }
  path = path.substr(prefix.size(), path.size() - prefix.size() - suffix.size());
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), number);
  if (error != std::errc() || end != path.data() + path.size()) return std::nullopt;
  return number;
}

std::string page_path(std::uint32_t number) {
  return number == 0 ? "/" : "/page/" + std::to_string(number) + ".html";
}

std::string anchor(const std::string& target, const std::string& text) {
  return "<a href=\"" + target + "\">" + text + "</a>\n";
}

}  // namespace

std::uint32_t GeneratedSite::dead_links() const {
  return (pages_ - 1) / kMissingPageEvery + (pages_ - 1) / kMissingAnchorEvery;
}

std::string GeneratedSite::page(std::uint32_t number) const {
  const std::string name = "Page " + std::to_string(number);
  std::string html = "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>" + name +
                     "</title></head><body><h1>" + name + "</h1>\n";
  for (int part = 0; part < kParts; ++part) {
    html +=
        "<h2 id=\"part-" + std::to_string(part) + "\">Part " + std::to_string(part) +
        "</h2>\n<p>Nothing to read here, but something to parse: the page is as long as a short "
        "page of documentation, so that a check of it costs what it costs elsewhere.</p>\n";
  }
  for (std::uint64_t child = std::uint64_t{number} * kChildren + 1;
       child <= std::uint64_t{number} * kChildren + kChildren && child < pages_; ++child) {
    const auto target = static_cast<std::uint32_t>(child);
    const bool moved = target % kRedirectEvery == 0;
    html += anchor(moved ? "/old/" + std::to_string(target) : page_path(target),
                   "page " + std::to_string(target));
  }
  html +=
      anchor(page_path((number + 1) % pages_) + "#part-" + std::to_string(number % kParts), "next");
  html += anchor("#part-0", "up") + anchor("mailto:nobody@example.org", "write to nobody");
  if (number > 0 && number % kMissingPageEvery == 0) {
    html += anchor("/missing/" + std::to_string(number) + ".html", "a page that is not there");
  }
  if (number > 0 && number % kMissingAnchorEvery == 0) {
    html += anchor(page_path(number) + "#nowhere", "an anchor that is not there");
  }
  return html + "</body></html>\n";
}

Answer GeneratedSite::answer(std::string_view target) const {
  const std::optional<std::string> path = safe_path(target);
  if (!path) return error_answer(400);
  std::optional<std::uint32_t> number = number_in(*path, "/page/", ".html");
  if (*path == "/") number = 0;
  if (number && *number < pages_) {
    Answer answer;
    answer.text = page(*number);
    return answer;
  }
  const std::optional<std::uint32_t> old = number_in(*path, "/old/", "");
  if (old && *old < pages_) return redirect_answer(302, page_path(*old));
  return error_answer(404);
}

Answer error_answer(int status) {
  Answer answer;
  answer.status = status;
  answer.type = "text/plain";
  answer.text = std::to_string(status) + " " + std::string(status_name(status)) + "\n";
  return answer;
}

Answer redirect_answer(int status, std::string location) {
  Answer answer = error_answer(status);
  answer.location = std::move(location);
  return answer;
}

}  // namespace linkcheck
