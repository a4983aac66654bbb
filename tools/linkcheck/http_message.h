// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// HTTP/1.1 for the built-in server: enough to serve libcurl and browsers, strict about what it
// takes.
namespace linkcheck {

struct HeaderField {
  std::string name;  // as written
  std::string value;
};

struct Request {
  std::string method;
  std::string target;  // "/path?query"
  bool keep_alive = true;
  std::vector<HeaderField> fields;

  // The first field of that name, in any case; null when there is none.
  const std::string* field(std::string_view name) const;
};

struct RequestLimits {
  std::size_t head = 16384;    // request line and fields together
  std::uint64_t body = 65536;  // read and dropped
};

// Takes a connection's bytes and gives its requests, also when they come pipelined or in single
// bytes.
class RequestReader {
 public:
  enum class Result { kMore, kRequest, kError };

  explicit RequestReader(RequestLimits limits = {}) : limits_(limits) {}

  void feed(std::string_view bytes) { buffer_.append(bytes); }
  // kRequest fills request(), kError fills error_status(): the connection cannot go on after that.
  Result next();

  const Request& request() const { return request_; }
  int error_status() const { return error_status_; }
  // Whether a request has begun and is not complete: closing now cuts it off.
  bool in_request() const { return !buffer_.empty() || skip_ > 0; }

 private:
  Result fail(int status);
  bool skip_body();
  bool parse_head(std::string_view head);
  bool parse_line(std::string_view line);
  bool parse_field(std::string_view line);
  bool parse_framing();

  RequestLimits limits_;
  std::string buffer_;
  std::size_t searched_ = 0;  // of buffer_: no end of the head before it
  std::uint64_t skip_ = 0;    // bytes of the last request's body that are still to come
  bool http10_ = false;
  Request request_;
  int error_status_ = 0;
};

struct ResponseHead {
  int status = 200;
  std::string type{};                     // Content-Type; empty for none
  std::string location{};                 // Location; empty for none
  std::optional<std::uint64_t> length{};  // none: chunked
  bool outside = false;                   // Linkcheck-Outside
  bool keep_alive = true;
};
std::string format_head(const ResponseHead& head);

// One chunk of a chunked body; the last one is empty.
std::string format_chunk(std::string_view data);

// "Not Found"; empty for a number without a name.
std::string_view status_name(int status);

// The path of a request target, decoded, without its query. Nothing when it is not absolute, is
// wrongly escaped, holds a NUL, or has a ".." step: nobody climbs out of a site.
std::optional<std::string> safe_path(std::string_view target);

// By the file name's suffix. Compressed files are what they are, not what is in them.
std::string_view content_type_of(std::string_view file_name);

}  // namespace linkcheck
