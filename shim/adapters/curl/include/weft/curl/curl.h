// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// libcurl in straight lines, many transfers at a time on one thread:
//
//   weft::run([](weft::EventLoop&) {
//     auto page = fail_after(5s, [] { return weft::curl::get("https://example.org/"); });
//     if (page.status == 200) use(page.body);
//   });
//
// Each loop has one multi handle, made at the first call and closed before the loop goes. All
// transfers of the loop share its connections, TLS sessions and name look-ups (multi_options.h has
// the limits). Deadlines are cancel scopes. Cancelling the waiting task takes the transfer off at
// once, also in the middle of a name look-up (which libcurl then leaves to its thread to finish).
// The calls work in any task or callback for which current_loop() is a loop.

#pragma once

#include <curl/curl.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weft/curl/errors.h"
#include "weft/curl/headers.h"
#include "weft/curl/multi_options.h"

namespace weft::curl {

// Of the last response, after redirects.
struct Response {
  long status = 0;
  Headers headers;
  std::string body;
  std::string effective_url;
  long redirects = 0;
  std::string content_type;

  // The first header of that name, in any case of letters.
  std::optional<std::string_view> header(std::string_view name) const { return headers.find(name); }
};

struct Options {
  // "HEAD" gets no body. Empty: POST if there is a `body` or an `upload`, else GET.
  std::string method = {};
  // Lines to send, "Name: value". "Name:" takes one of libcurl's own off.
  std::vector<std::string> headers = {};
  std::string body = {};
  // A request body that comes piece by piece, instead of `body`. Fills the buffer, says how much it
  // has written, and 0 at the end; a fibers::ReceiveStream fits in by one line:
  //
  //   .upload = [&](std::span<std::byte> buffer) { return stream.receive_some(buffer); }
  //
  // It runs in a task of its own beside the caller's, where it may wait; the next piece is asked
  // for when libcurl has sent the last one. It is cancelled when the transfer ends before it, as
  // when the server refuses it early (a status of 300 or more). What it throws ends the transfer
  // and comes out of the call. libcurl cannot send such a body again: a redirect that asks for it
  // is CURLE_SEND_FAIL_REWIND.
  std::function<std::size_t(std::span<std::byte> buffer)> upload = {};
  // Its size in bytes. Without one HTTP/1.1 sends it in chunks.
  std::optional<std::uint64_t> upload_size = {};
  bool follow_location = true;
  long max_redirects = 20;
  // A longer body ends the transfer with CURLE_FILESIZE_EXCEEDED. Counted after decompression.
  std::size_t max_body_size = std::numeric_limits<std::size_t>::max();
  std::string user_agent = "weft";
  // Certificates: off only for tests. Files and client certificates: see `configure`.
  bool verify_tls = true;
  // Sees the head of the response, everything but the body, before any piece of the body is handed
  // over; of the last response only, after redirects. With stream() it runs in the calling task and
  // may wait. Otherwise it runs inside libcurl, as on_body does. What it throws ends the transfer
  // and comes out of the call.
  std::function<void(const Response& head)> on_head = {};
  // Sees each piece of the body as it comes, instead of Response::body. Runs inside libcurl: it
  // must not wait (UsageError); what it throws ends the transfer and comes out of the call. A
  // consumer that has to wait belongs into stream().
  std::function<void(std::string_view)> on_body = {};
  // The last word on the handle: any curl_easy_setopt, except for the URL and the write, header and
  // read callbacks. The handle is used again for other requests: cookies are forgotten (a
  // CURLOPT_COOKIEJAR is written first), and so are shares, HSTS and Alt-Svc. A cache of HSTS or
  // Alt-Svc in a file needs a handle of its own: see perform().
  std::function<void(CURL*)> configure = {};
};

// One transfer. Throws Error if libcurl gives up, LocalError if this process lacks what the
// transfer needs, UsageError where there is no loop, ClosedResourceError if the loop closes
// meanwhile.
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
// a full channel, a lock, a file. Options::on_head has the status and the headers before that.
// Meanwhile at most `kStreamBuffer` bytes and what the kernel holds are read ahead; then the
// transfer pauses and the server feels it. What the sink throws ends the transfer and comes out of
// the call. Response::body stays empty.
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
