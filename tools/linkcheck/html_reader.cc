// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/page.h"

#include <libxml/HTMLparser.h>
#include <libxml/parserInternals.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <utility>

#include "tools/linkcheck/options.h"
#include "tools/linkcheck/text.h"
#include "tools/linkcheck/units.h"

namespace linkcheck {
namespace {

constexpr std::size_t kPiece =
    16384;  // how much libxml2 gets before the limits are looked at again

// Without memory libxml2 2.9 may loop for ever: nothing that comes after can be relied on.
void* require(void* memory) {
  if (memory != nullptr) return memory;
  constexpr std::string_view kWords = "linkcheck: out of memory while reading a page\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kWords.data(), kWords.size());
  ::_exit(kExitBroken);
}

void require_memory_in_libxml2() {
  static const int done = xmlMemSetup(
      &std::free, [](std::size_t size) { return require(std::malloc(size)); },
      [](void* memory, std::size_t size) { return require(std::realloc(memory, size)); },
      [](const char* text) { return static_cast<char*>(require(::strdup(text))); });
  static_cast<void>(done);
}

struct LinkAttribute {
  std::string_view element;
  std::string_view attribute;
};
constexpr LinkAttribute kLinks[] = {
    {"a", "href"},     {"area", "href"}, {"link", "href"},  {"img", "src"},     {"script", "src"},
    {"iframe", "src"}, {"frame", "src"}, {"source", "src"}, {"video", "src"},   {"video", "poster"},
    {"audio", "src"},  {"track", "src"}, {"embed", "src"},  {"object", "data"}, {"input", "src"},
};

std::string_view text_of(const xmlChar* text) {
  return text == nullptr ? std::string_view() : reinterpret_cast<const char*>(text);
}

// The attributes of one start tag, as libxml2 hands them over: name, value, name, value, null.
class Attributes {
 public:
  explicit Attributes(const xmlChar** list) : list_(list) {}

  bool get(std::string_view name, std::string_view& value) const {
    for (const xmlChar** at = list_; at != nullptr && *at != nullptr; at += 2) {
      if (text_of(at[0]) != name) continue;
      value = text_of(at[1]);
      return true;
    }
    return false;
  }

 private:
  const xmlChar** list_;
};

// Hints to a browser to open a connection early: nothing that can be asked for.
bool is_connection_hint(const Attributes& attributes) {
  std::string_view rel;
  return attributes.get("rel", rel) &&
         (equal_ignoring_case(rel, "preconnect") || equal_ignoring_case(rel, "dns-prefetch"));
}

xmlCharEncoding byte_order_mark(std::string_view text) {
  if (text.substr(0, 2) == "\xFF\xFE") return XML_CHAR_ENCODING_UTF16LE;
  if (text.substr(0, 2) == "\xFE\xFF") return XML_CHAR_ENCODING_UTF16BE;
  if (text.substr(0, 3) == "\xEF\xBB\xBF") return XML_CHAR_ENCODING_UTF8;
  return XML_CHAR_ENCODING_NONE;
}

}  // namespace

struct HtmlReader::State {
  PageBuilder builder;
  PageLimits limits;
  std::string charset;
  htmlSAXHandler handler{};
  htmlParserCtxtPtr parser = nullptr;
  std::string head;  // the first bytes, until there are enough to tell the encoding
  std::size_t bytes = 0;
  std::size_t depth = 0;
  std::chrono::steady_clock::duration spent{};
  std::exception_ptr failure;

  ~State() {
    if (parser != nullptr) htmlFreeParserCtxt(parser);
  }

  void open();
  void parse(std::string_view piece);
  void rewind_lookup() const;
  void drop_consumed() const;
  void stop(std::string note);
  void on_element(std::string_view element, const Attributes& attributes);
  void on_anchors(std::string_view element, const Attributes& attributes);
  void on_meta(const Attributes& attributes);

  static void start_element(void* state, const xmlChar* name, const xmlChar** attributes);
  static void end_element(void* state, const xmlChar* name);
};

void HtmlReader::State::open() {
  require_memory_in_libxml2();
  handler.startElement = &State::start_element;
  handler.endElement = &State::end_element;
  xmlCharEncoding encoding = byte_order_mark(head);
  if (encoding == XML_CHAR_ENCODING_NONE && !charset.empty()) {
    encoding = xmlParseCharEncoding(charset.c_str());
    if (encoding == XML_CHAR_ENCODING_ERROR) encoding = XML_CHAR_ENCODING_NONE;
  }
  parser = htmlCreatePushParserCtxt(&handler, this, nullptr, 0, nullptr, encoding);
  if (parser == nullptr) throw std::bad_alloc();
  htmlCtxtUseOptions(parser, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                 HTML_PARSE_NONET | HTML_PARSE_COMPACT);
}

void HtmlReader::State::stop(std::string note) {
  builder.set_note(std::move(note));
  if (parser != nullptr) xmlStopParser(parser);
}

// libxml2 2.9 remembers how far it has looked for the end of a tag, but not whether it stood inside
// quotes there. After a piece that ends in the middle of a quoted value it would find no end any
// more, and keep the rest of the page in memory until finish(). Looking through the tag again from
// its start mends that.
void HtmlReader::State::rewind_lookup() const {
  const xmlParserInput* const input = parser->input;
  if (input == nullptr || input->end - input->cur < 2) return;
  const char second = lower(static_cast<char>(input->cur[1]));
  if (input->cur[0] == '<' && second >= 'a' && second <= 'z') parser->checkIndex = 0;
}

// The push parser for HTML keeps what it has read. Its memory of how far it has looked counts from
// the start of that.
void HtmlReader::State::drop_consumed() const {
  xmlParserInput* const input = parser->input;
  if (input == nullptr || input->buf == nullptr) return;
  const std::ptrdiff_t before = input->cur - input->base;
  xmlParserInputShrink(input);
  const std::ptrdiff_t dropped = before - (input->cur - input->base);
  if (parser->checkIndex > 0) parser->checkIndex -= dropped;
}

void HtmlReader::State::parse(std::string_view piece) {
  const auto start = std::chrono::steady_clock::now();
  rewind_lookup();
  htmlParseChunk(parser, piece.data(), static_cast<int>(piece.size()), 0);
  drop_consumed();
  spent += std::chrono::steady_clock::now() - start;
  if (failure) std::rethrow_exception(failure);
  if (spent > limits.time) stop("takes too long to parse; read only in part");
}

// libxml2 calls these two from C, which an exception must not cross.
void HtmlReader::State::start_element(void* state, const xmlChar* name,
                                      const xmlChar** attributes) {
  State& self = *static_cast<State*>(state);
  if (self.builder.has_note() || self.failure) return;
  try {
    if (++self.depth > self.limits.depth) {
      self.stop("nested more than " + std::to_string(self.limits.depth) +
                " elements deep; read only in part");
      return;
    }
    self.on_element(text_of(name), Attributes(attributes));
  } catch (...) {
    self.failure = std::current_exception();
    xmlStopParser(self.parser);
  }
}

void HtmlReader::State::end_element(void* state, const xmlChar*) {
  State& self = *static_cast<State*>(state);
  if (self.depth > 0) --self.depth;
}

void HtmlReader::State::on_element(std::string_view element, const Attributes& attributes) {
  on_anchors(element, attributes);
  std::string_view value;
  if (element == "base" && attributes.get("href", value)) builder.set_base(value);
  if (element == "meta") on_meta(attributes);
  if (element == "link" && is_connection_hint(attributes)) return;
  for (const LinkAttribute& link : kLinks) {
    if (link.element == element && attributes.get(link.attribute, value)) builder.add_link(value);
  }
  if ((element == "img" || element == "source") && attributes.get("srcset", value)) {
    for (const std::string& url : srcset_urls(value)) builder.add_link(url);
  }
}

void HtmlReader::State::on_anchors(std::string_view element, const Attributes& attributes) {
  std::string_view value;
  if (attributes.get("id", value)) builder.add_anchor(value);
  if ((element == "a" || element == "map") && attributes.get("name", value)) {
    builder.add_anchor(value);
  }
}

void HtmlReader::State::on_meta(const Attributes& attributes) {
  std::string_view kind;
  std::string_view content;
  if (!attributes.get("http-equiv", kind) || !equal_ignoring_case(kind, "refresh")) return;
  if (!attributes.get("content", content)) return;
  const std::string target = refresh_target(content);
  if (!target.empty()) builder.add_link(target);
}

HtmlReader::HtmlReader(std::string_view charset, PageLimits limits)
    : state_(std::make_unique<State>()) {
  state_->charset = std::string(charset);
  state_->limits = limits;
}

HtmlReader::~HtmlReader() = default;

bool HtmlReader::feed(std::string_view bytes) {
  State& state = *state_;
  if (state.bytes + bytes.size() > state.limits.bytes) {
    bytes = bytes.substr(0, state.limits.bytes - state.bytes);
    state.builder.set_note("longer than " + format_bytes(state.limits.bytes) +
                           "; read only in part");
  }
  state.bytes += bytes.size();
  if (state.parser == nullptr) {
    state.head.append(bytes.substr(0, 4));
    bytes.remove_prefix(std::min<std::size_t>(4, bytes.size()));
    if (state.head.size() < 4 && !state.builder.has_note()) return true;
    state.open();
    state.parse(std::exchange(state.head, {}));
  }
  while (!bytes.empty()) {
    state.parse(bytes.substr(0, kPiece));
    bytes.remove_prefix(std::min(kPiece, bytes.size()));
    if (state.builder.has_note() && state.bytes < state.limits.bytes) return false;
  }
  return !state.builder.has_note();
}

Page HtmlReader::finish() {
  State& state = *state_;
  if (state.parser == nullptr) {
    state.open();
    state.parse(std::exchange(state.head, {}));
  }
  if (!state.builder.has_note()) htmlParseChunk(state.parser, nullptr, 0, 1);
  if (state.failure) std::rethrow_exception(state.failure);
  return state.builder.finish();
}

Page read_html(std::string_view text, std::string_view charset, PageLimits limits) {
  HtmlReader reader(charset, limits);
  reader.feed(text);
  return reader.finish();
}

}  // namespace linkcheck
