// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/fetch.h"

#include <curl/curl.h>

#include <memory>
#include <string_view>
#include <utility>

#include "tools/linkcheck/lack.h"
#include "tools/linkcheck/server.h"
#include "tools/linkcheck/units.h"
#include "weft/curl/curl.h"
#include "weft/fibers/timeouts.h"

namespace linkcheck {
namespace {

constexpr std::size_t kOtherBody =
    1U << 20U;  // of a body that holds no links, this much is enough to believe in it

// Ends a transfer of which we have seen enough.
struct EnoughRead {};

// Takes a body as it arrives. It runs inside libcurl, on the loop's stack: no memory of the waiting
// task is touched for parsing, and the page never stands in memory as a whole.
class BodyReader {
 public:
  BodyReader(const PageLimits& limits, Fetched& result) : limits_(limits), result_(result) {}

  void begin(const weft::curl::Response& head);
  void take(std::string_view piece);
  // After a transfer that brought what it promised, or as much of it as we wanted.
  void finish();

 private:
  void open_reader();

  PageLimits limits_;
  Fetched& result_;
  bool wants_more_ = true;
  std::optional<HtmlReader> html_;
  std::optional<std::string> markdown_;
};

// An empty page is a page without anchors: the reader is there before the first piece comes.
void BodyReader::begin(const weft::curl::Response& head) {
  result_.status = static_cast<int>(head.status);
  result_.type = head.content_type;
  open_reader();
}

void BodyReader::open_reader() {
  if (result_.status < 200 || result_.status >= 300) return;
  switch (page_kind(result_.type)) {
    case PageKind::kHtml:
      html_.emplace(charset_of(result_.type), limits_);
      break;
    case PageKind::kMarkdown:
      markdown_.emplace();
      break;
    case PageKind::kNone:
      break;
  }
}

void BodyReader::take(std::string_view piece) {
  result_.bytes += piece.size();
  if (html_) {
    wants_more_ = html_->feed(piece);
  } else if (markdown_) {
    markdown_->append(piece);
    wants_more_ = markdown_->size() < limits_.bytes;
    if (!wants_more_) result_.note = "longer than " + format_bytes(limits_.bytes);
  } else {
    wants_more_ = result_.bytes < kOtherBody;
  }
  if (!wants_more_) throw EnoughRead{};
}

void BodyReader::finish() {
  if (html_) result_.page = html_->finish();
  if (markdown_) result_.page = read_markdown(*markdown_);
  if (!result_.page) return;
  if (!result_.note.empty()) result_.page->note = result_.note;
  result_.note = result_.page->note;
}

// libcurl's own texts hold times and numbers, which would make every line of the report a different
// one.
std::string error_text(const weft::curl::Error& error) {
  switch (error.code()) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return "no such host";
    case CURLE_COULDNT_CONNECT:
      return "cannot connect: refused or unreachable";
    case CURLE_PARTIAL_FILE:
      return "body is truncated: " + error.text();
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      return "connection broke: " + error.text();
    case CURLE_GOT_NOTHING:
      return "closed without an answer";
    case CURLE_PEER_FAILED_VERIFICATION:
      return "certificate is not trusted: " + error.text();
    case CURLE_SSL_CONNECT_ERROR:
      return "TLS handshake failed: " + error.text();
    case CURLE_URL_MALFORMAT:
      return "libcurl does not take this URL: " + error.text();
    case CURLE_UNSUPPORTED_PROTOCOL:  // HTTP/0.9: anything at all; the schemes are known here
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return "not an HTTP answer: " + error.text();
    default:
      return error.text();
  }
}

bool is_rejection(CURLcode code) {
  return code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR ||
         code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY ||
         code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM;
}

void transfer(const std::string& url, const weft::curl::Options& options, Fetched& result) {
  const weft::curl::Response response = weft::curl::request(url, options);
  result.status = static_cast<int>(response.status);
  result.type = response.content_type;
  result.location = std::string(response.header("Location").value_or(""));
  result.outside = response.header(kOutsideHeader).has_value();
}

}  // namespace

Fetched fetch(const std::string& url, const FetchOptions& options) {
  Fetched result;
  BodyReader body(options.limits, result);
  weft::curl::Options request;
  request.method = options.body ? "" : "HEAD";
  request.follow_location = false;
  request.user_agent = "linkcheck";
  if (options.body) request.on_head = [&](const weft::curl::Response& head) { body.begin(head); };
  request.on_body = [&body](std::string_view piece) { body.take(piece); };
  if (options.no_proxy) {
    request.configure = [](CURL* easy) { curl_easy_setopt(easy, CURLOPT_NOPROXY, "*"); };
  }
  try {
    const bool finished =
        weft::fibers::move_on_after(options.timeout, [&] { transfer(url, request, result); });
    if (!finished) {
      result.error = "no complete answer within " + format_duration(options.timeout);
      result.status = 0;
    }
  } catch (const EnoughRead&) {
  } catch (const weft::curl::LocalError& error) {
    throw_lack(error.code().value());
  } catch (const weft::curl::Error& error) {
    result.error = error_text(error);
    result.rejected = is_rejection(error.code());
  }
  if (result.error.empty()) body.finish();
  return result;
}

Robots fetch_robots(const std::string& origin, std::chrono::nanoseconds timeout) {
  constexpr std::size_t kLongest = 512U << 10U;
  constexpr char kNothing[] = "User-agent: *\nDisallow: /\n";
  std::string text;
  weft::curl::Options request;
  request.user_agent = "linkcheck";
  request.on_body = [&text](std::string_view piece) {
    text.append(piece);
    if (text.size() > kLongest) throw EnoughRead{};
  };
  try {
    weft::fibers::move_on_after(timeout, [&] {
      const long status = weft::curl::request(origin + "/robots.txt", request).status;
      if (status >= 400) text = status >= 500 ? kNothing : "";
    });
  } catch (const EnoughRead&) {
  } catch (const weft::curl::LocalError& error) {
    throw_lack(error.code().value());
  } catch (const weft::curl::Error&) {
    text.clear();
  }
  return Robots(text, "linkcheck");
}

}  // namespace linkcheck
