// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace linkcheck {

// One reference of a page, as it was written (fragment included); `count` says how often it stands
// there.
struct PageLink {
  std::string reference;
  std::uint32_t count = 1;
};

// What a page holds that a link checker wants to know.
struct Page {
  std::vector<PageLink> links;         // in the order of their first appearance, each text once
  std::string base;                    // <base href>, as written; empty when there is none
  std::vector<std::uint64_t> anchors;  // hashes of ids and names, sorted; has_anchor() asks
  std::string note;  // why the page was read only in part; empty when it was read to its end

  bool complete() const { return note.empty(); }
  // Whether `#fragment` leads somewhere. "" and "top" always do.
  bool has_anchor(std::string_view fragment) const;
};

std::uint64_t anchor_hash(std::string_view name);
// As Page::has_anchor, for a list of hashes kept elsewhere.
bool has_anchor(const std::vector<std::uint64_t>& sorted_hashes, std::string_view fragment);

// Collects links and anchors while a page is being parsed; shared by the HTML and the Markdown
// reader.
class PageBuilder {
 public:
  void add_link(std::string_view reference);
  void add_anchor(std::string_view name);
  void set_base(std::string_view reference);
  void set_note(std::string note);
  bool has_note() const { return !page_.note.empty(); }
  Page finish();

 private:
  Page page_;
  std::unordered_map<std::string, std::size_t> seen_;
};

// Limits that keep one hostile page from costing more than itself.
struct PageLimits {
  std::size_t bytes = 16U << 20U;
  std::size_t depth = 1000;  // of open elements; what is deeper is not read
  std::chrono::milliseconds time{2000};
};

// Reads HTML in pieces, as they arrive. libxml2's push parser without a tree: memory does not grow
// with the page, and neither does the stack with its nesting, which matters on fibers. (Gumbo
// builds the tree, 14 bytes of it for each byte of the page, and is quadratic in the nesting:
// 400,000 open <div> are hours.) Encoding: the header's, else a byte order mark, else <meta>, else
// UTF-8 with Latin-1 for what is not.
class HtmlReader {
 public:
  explicit HtmlReader(std::string_view charset = "", PageLimits limits = {});
  ~HtmlReader();
  HtmlReader(const HtmlReader&) = delete;
  HtmlReader& operator=(const HtmlReader&) = delete;

  // False when no more is wanted: a limit was reached.
  bool feed(std::string_view bytes);
  Page finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Page read_html(std::string_view text, std::string_view charset = "", PageLimits limits = {});

// Links and heading anchors of a Markdown document: inline links and images, reference definitions,
// <autolinks>, and headings under the names that forges give them. What stands in code is left
// alone.
Page read_markdown(std::string_view text);

// The candidates of a srcset attribute, without their descriptors.
std::vector<std::string> srcset_urls(std::string_view value);

// The target of <meta http-equiv="refresh" content="...">; empty when it only reloads.
std::string refresh_target(std::string_view content);

enum class PageKind { kNone, kHtml, kMarkdown };
// From a Content-Type header.
PageKind page_kind(std::string_view content_type);
std::string charset_of(std::string_view content_type);

}  // namespace linkcheck
