// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/curl/errors.h"

#include <utility>

namespace weft::curl {

namespace {

std::string reason(CURLcode code, std::string_view detail) {
  return detail.empty() ? curl_easy_strerror(code) : std::string(detail);
}

std::string local_reason(const std::string& url, std::string_view detail) {
  std::string text = url + ": this process lacks what the transfer needs";
  if (!detail.empty()) text.append(" (libcurl: ").append(detail).append(")");
  return text;
}

}  // namespace

Error::Error(CURLcode code, std::string url, std::string_view detail)
    : std::runtime_error(url + ": " + reason(code, detail)),
      code_(code),
      url_(std::move(url)),
      text_(reason(code, detail)) {}

LocalError::LocalError(int error, std::string url, std::string_view detail)
    : std::system_error(error, std::generic_category(), local_reason(url, detail)),
      url_(std::move(url)) {}

}  // namespace weft::curl
