// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/curl/curl.h"

#include <memory>
#include <utility>

#include "shim/adapters/curl/src/transfer.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/task.h"
#include "weft/shim/loop_resource.h"
#include "weft/shim/open_loop.h"

namespace weft::curl {

namespace {

// For a call that is going to wait: Cancelled comes first.
std::shared_ptr<Multi> multi_to_wait_for() {
  if (fibers::in_trio_task()) fibers::checkpoint_if_cancelled();
  return shim::loop_resource<Multi>(shim::require_loop());
}

}  // namespace

Response request(const std::string& url, const Options& options) {
  return Transfer(multi_to_wait_for(), url, options, nullptr).run();
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
  return Transfer(multi_to_wait_for(), url, options, &sink).run();
}

Response perform(CURL* easy) {
  const std::shared_ptr<Multi> multi = multi_to_wait_for();
  Pending pending;
  multi->add(easy, pending);
  const Removal removal(*multi, easy);
  while (!pending.is_over()) pending.news.wait();
  Response response = describe(easy);
  throw_failure(easy, pending, 0, response.effective_url, {});
  // The handle's header callback may be the user's. -1: of the last response.
  for (curl_header* h = curl_easy_nextheader(easy, CURLH_HEADER, -1, nullptr); h != nullptr;
       h = curl_easy_nextheader(easy, CURLH_HEADER, -1, h)) {
    response.headers.add_line(std::string(h->name) + ":" + h->value);
  }
  return response;
}

void set_multi_options(const MultiOptions& options) {
  multi_to_wait_for()->set_options(options);
}

}  // namespace weft::curl
