// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// libcurl in straight lines, many transfers at a time on one thread:
//
//   weft::run([](weft::EventLoop&) {
//     auto page = fail_after(5s, [] { return weft::curl::get("https://example.org/"); });
//     if (page.status == 200) use(page.body);
//   });
//
// Each loop has one multi handle, made at the first call and closed before the loop goes:
// connections and TLS sessions are shared by all transfers of the loop. Deadlines are cancel
// scopes; cancelling the waiting task takes the transfer off at once, also in the middle of a name
// look-up (which libcurl then leaves to its thread to finish). The calls work in any task or
// callback for which current_loop() is a loop.

#pragma once

#include <curl/curl.h>

#include <cstddef>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace weft::curl {

// A transfer that libcurl gave up. An HTTP status of 400 or more is not an error.
class Error : public std::runtime_error {
 public:
  // `detail` is libcurl's own text about this transfer; empty: the general text for the code.
  Error(CURLcode code, std::string url, std::string_view detail = {});
  CURLcode code() const { return code_; }
  const std::string& url() const { return url_; }
  // The reason alone; what() also names the URL.
  const std::string& text() const { return text_; }

 private:
  CURLcode code_;
  std::string url_;
  std::string text_;
};

struct Header {
  std::string name;
  std::string value;
};

struct Options {
  // "HEAD" gets no body. Empty: POST if there is a `body`, else GET.
  std::string method = {};
  // Lines to send, "Name: value". "Name:" takes one of libcurl's own off.
  std::vector<std::string> headers = {};
  std::string body = {};
  bool follow_location = true;
  long max_redirects = 20;
  // A longer body ends the transfer with CURLE_FILESIZE_EXCEEDED. Counted after decompression.
  std::size_t max_body_size = std::numeric_limits<std::size_t>::max();
  std::string user_agent = "weft";
  // Certificates: off only for tests. Files and client certificates: see `configure`.
  bool verify_tls = true;
  // Sees each piece of the body as it comes, instead of Response::body. Runs inside libcurl: it
  // must not wait (UsageError); what it throws ends the transfer and comes out of the call. A
  // consumer that has to wait belongs into stream().
  std::function<void(std::string_view)> on_body = {};
  // The last word on the handle: any curl_easy_setopt, except for the write callback and the URL.
  std::function<void(CURL*)> configure = {};
};

// Of the last response, after redirects.
struct Response {
  long status = 0;
  std::vector<Header> headers;
  std::string body;
  std::string effective_url;
  long redirects = 0;
  std::string content_type;

  // The first header of that name, in any case of letters.
  std::optional<std::string_view> header(std::string_view name) const;
};

// One transfer. Throws Error if libcurl gives up, UsageError where there is no loop,
// ClosedResourceError if the loop closes meanwhile.
//
// Blocks: yes, always a checkpoint.
// Cancel: the transfer is taken off the loop at once; the server may have seen the request.
// Threads: the run's own only.
Response get(const std::string& url, const Options& options = {});
// Blocks: yes, always a checkpoint.
// Cancel: the transfer is taken off the loop at once; the server may have seen the request.
// Threads: the run's own only.
Response head(const std::string& url, Options options = {});
// Blocks: yes, always a checkpoint.
// Cancel: the transfer is taken off the loop at once; the server may have seen the request.
// Threads: the run's own only.
Response post(const std::string& url, std::string body, Options options = {});
// With the method that the options say.
//
// Blocks: yes, always a checkpoint.
// Cancel: the transfer is taken off the loop at once; the server may have seen the request.
// Threads: the run's own only.
Response request(const std::string& url, const Options& options);

// The same, but hands the body to `sink` piece by piece, in the calling task, where it may wait: on
// a full channel, a lock, a file. Meanwhile at most `kStreamBuffer` bytes and what the kernel holds
// are read ahead; then the transfer pauses and the server feels it. What the sink throws ends the
// transfer and comes out of the call. Response::body stays empty.
//
// Blocks: yes, always a checkpoint.
// Cancel: the transfer is taken off the loop at once; pieces not yet handed over are dropped.
// Threads: the run's own only.
inline constexpr std::size_t kStreamBuffer = 64 * 1024;
Response stream(const std::string& url, const Options& options,
                const std::function<void(std::string_view piece)>& sink);

// Runs a handle that you have set up. The body goes where its callbacks put it, which run inside
// libcurl: they must neither wait (UsageError) nor throw. Response::body stays empty. The handle
// stays yours; nothing of it is changed. Throws UsageError if it is already in use.
//
// Blocks: yes, always a checkpoint.
// Cancel: the transfer is taken off the loop at once; the server may have seen the request.
// Threads: the run's own only.
Response perform(CURL* easy);

}  // namespace weft::curl
