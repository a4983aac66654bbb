// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/curl/curl.h"

#include <algorithm>
#include <utility>

#include "shim/adapters/curl/src/transfer.h"
#include "weft/fibers/errors.h"
#include "weft/shim/loop_resource.h"
#include "weft/shim/open_loop.h"

namespace weft::curl {

namespace {

// Header names are ASCII; the locale must not matter.
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::shared_ptr<Multi> current_multi() {
  return shim::loop_resource<Multi>(shim::require_loop());
}

std::string reason(CURLcode code, std::string_view detail) {
  return detail.empty() ? curl_easy_strerror(code) : std::string(detail);
}

}  // namespace

Error::Error(CURLcode code, std::string url, std::string_view detail)
    : std::runtime_error(url + ": " + reason(code, detail)),
      code_(code),
      url_(std::move(url)),
      text_(reason(code, detail)) {}

std::optional<std::string_view> Response::header(std::string_view name) const {
  const auto found = std::ranges::find_if(
      headers, [&](const Header& header) { return same_name(header.name, name); });
  if (found == headers.end()) return std::nullopt;
  return found->value;
}

Response request(const std::string& url, const Options& options) {
  return Transfer(current_multi(), url, options, nullptr).run();
}

Response get(const std::string& url, const Options& options) {
  return request(url, options);
}

Response head(const std::string& url, Options options) {
  options.method = "HEAD";
  return request(url, options);
}

Response post(const std::string& url, std::string body, Options options) {
  options.method = "POST";
  options.body = std::move(body);
  return request(url, options);
}

Response stream(const std::string& url, const Options& options,
                const std::function<void(std::string_view)>& sink) {
  return Transfer(current_multi(), url, options, &sink).run();
}

Response perform(CURL* easy) {
  const std::shared_ptr<Multi> multi = current_multi();
  Pending pending;
  multi->add(easy, pending);
  const Removal removal(*multi, easy);
  while (!pending.is_over()) pending.wait();
  Response response = describe(easy);
  throw_failure(pending, response.effective_url, {});
  return response;
}

}  // namespace weft::curl
