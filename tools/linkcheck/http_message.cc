// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/http_message.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "tools/linkcheck/text.h"

namespace linkcheck {
namespace {

bool is_token_char(char c) {
  const char small = lower(c);
  return (small >= 'a' && small <= 'z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

bool is_target_char(char c) {
  return static_cast<unsigned char>(c) > 0x20 && c != 0x7F;
}

bool is_field_char(char c) {
  return static_cast<unsigned char>(c) >= 0x20 || c == '\t';
}

// Whether a comma-separated list holds the word.
bool list_holds(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    if (equal_ignoring_case(trimmed(take_until(list, ',')), word)) return true;
  }
  return false;
}

std::string hexadecimal(std::size_t value) {
  char digits[20];
  const auto result = std::to_chars(digits, digits + sizeof digits, value, 16);
  return {digits, result.ptr};
}

struct TypeOfSuffix {
  std::string_view suffix;
  std::string_view type;
};
constexpr TypeOfSuffix kTypes[] = {
    {".html", "text/html; charset=utf-8"},
    {".htm", "text/html; charset=utf-8"},
    {".xhtml", "application/xhtml+xml"},
    {".md", "text/plain; charset=utf-8"},
    {".txt", "text/plain"},
    {".css", "text/css"},
    {".js", "text/javascript"},
    {".json", "application/json"},
    {".xml", "application/xml"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
    {".webp", "image/webp"},
    {".ico", "image/x-icon"},
    {".woff", "font/woff"},
    {".woff2", "font/woff2"},
    {".pdf", "application/pdf"},
    {".ps", "application/postscript"},
    {".gz", "application/gzip"},
    {".xz", "application/x-xz"},
    {".bz2", "application/x-bzip2"},
    {".zip", "application/zip"},
};

struct NameOfStatus {
  int status;
  std::string_view name;
};
constexpr NameOfStatus kStatuses[] = {
    {200, "OK"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {418, "I'm a teapot"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
};

}  // namespace

const std::string* Request::field(std::string_view name) const {
  for (const HeaderField& field : fields) {
    if (equal_ignoring_case(field.name, name)) return &field.value;
  }
  return nullptr;
}

RequestReader::Result RequestReader::fail(int status) {
  error_status_ = status;
  return Result::kError;
}

bool RequestReader::skip_body() {
  const std::size_t here = std::min<std::uint64_t>(skip_, buffer_.size());
  buffer_.erase(0, here);
  skip_ -= here;
  return skip_ == 0;
}

RequestReader::Result RequestReader::next() {
  if (error_status_ != 0) return Result::kError;
  if (!skip_body()) return Result::kMore;
  // A client may send empty lines between two requests.
  buffer_.erase(0, std::min(buffer_.find_first_not_of("\r\n"), buffer_.size()));
  const std::size_t end = buffer_.find("\r\n\r\n", searched_);
  if (end == std::string::npos) {
    if (buffer_.size() > limits_.head) return fail(431);
    searched_ = buffer_.size() < 3 ? 0 : buffer_.size() - 3;
    return Result::kMore;
  }
  searched_ = 0;
  if (end > limits_.head) return fail(431);
  request_ = Request();
  if (!parse_head(std::string_view(buffer_).substr(0, end + 2))) return Result::kError;
  buffer_.erase(0, end + 4);
  return Result::kRequest;
}

bool RequestReader::parse_head(std::string_view head) {
  const std::size_t end = head.find("\r\n");
  if (!parse_line(head.substr(0, end))) return false;
  head.remove_prefix(end + 2);
  while (!head.empty()) {
    const std::size_t line = head.find("\r\n");
    if (!parse_field(head.substr(0, line))) {
      error_status_ = 400;
      return false;
    }
    head.remove_prefix(line + 2);
  }
  return parse_framing();
}

// "GET /path HTTP/1.1"
bool RequestReader::parse_line(std::string_view line) {
  error_status_ = 400;
  const std::string_view method = take_until(line, ' ');
  const std::string_view target = take_until(line, ' ');
  if (!is_token(method) || target.empty() || line.substr(0, 5) != "HTTP/") return false;
  if (!std::all_of(target.begin(), target.end(), is_target_char)) return false;
  if (line != "HTTP/1.1" && line != "HTTP/1.0") {
    error_status_ = 505;
    return false;
  }
  http10_ = line == "HTTP/1.0";
  request_.method = std::string(method);
  request_.target = std::string(target);
  error_status_ = 0;
  return true;
}

bool RequestReader::parse_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return false;
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (!std::all_of(value.begin(), value.end(), is_field_char)) return false;
  request_.fields.push_back({std::string(line.substr(0, colon)), std::string(value)});
  return true;
}

// How long the request's body is, and whether the connection stays open after it.
bool RequestReader::parse_framing() {
  if (request_.field("Transfer-Encoding") != nullptr) {
    error_status_ = 501;
    return false;
  }
  if (const std::string* length = request_.field("Content-Length")) {
    const char* const last = length->data() + length->size();
    const auto [end, error] = std::from_chars(length->data(), last, skip_);
    if (error != std::errc() || end != last) {
      error_status_ = 400;
      return false;
    }
    if (skip_ > limits_.body) {
      error_status_ = 413;
      return false;
    }
  }
  const std::string* connection = request_.field("Connection");
  const std::string_view wishes = connection == nullptr ? std::string_view() : *connection;
  request_.keep_alive = http10_ ? list_holds(wishes, "keep-alive") : !list_holds(wishes, "close");
  return true;
}

std::string format_head(const ResponseHead& head) {
  std::string text = "HTTP/1.1 " + std::to_string(head.status) + " " +
                     std::string(status_name(head.status)) + "\r\n";
  if (!head.type.empty()) text += "Content-Type: " + head.type + "\r\n";
  if (!head.location.empty()) text += "Location: " + head.location + "\r\n";
  text += head.length ? "Content-Length: " + std::to_string(*head.length) + "\r\n"
                      : "Transfer-Encoding: chunked\r\n";
  if (head.outside) text += "Linkcheck-Outside: 1\r\n";
  if (!head.keep_alive) text += "Connection: close\r\n";
  text += "\r\n";
  return text;
}

std::string format_chunk(std::string_view data) {
  return hexadecimal(data.size()) + "\r\n" + std::string(data) + "\r\n";
}

std::string_view status_name(int status) {
  for (const NameOfStatus& entry : kStatuses) {
    if (entry.status == status) return entry.name;
  }
  return {};
}

std::optional<std::string> safe_path(std::string_view target) {
  target = target.substr(0, target.find_first_of("?#"));
  if (target.empty() || target.front() != '/') return std::nullopt;
  std::optional<std::string> path = percent_decoded_strictly(target);
  if (!path) return std::nullopt;
  std::string_view rest = *path;
  while (!rest.empty()) {
    if (take_until(rest, '/') == "..") return std::nullopt;
  }
  return path;
}

std::string_view content_type_of(std::string_view file_name) {
  for (const TypeOfSuffix& entry : kTypes) {
    if (ends_with_ignoring_case(file_name, entry.suffix)) return entry.type;
  }
  // README, copyright, changelog: what has no suffix is text to read.
  const std::size_t slash = file_name.rfind('/');
  const bool dotted =
      file_name.find('.', slash == std::string_view::npos ? 0 : slash) != std::string_view::npos;
  return dotted ? "application/octet-stream" : "text/plain";
}

}  // namespace linkcheck
