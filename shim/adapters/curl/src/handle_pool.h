// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Easy handles that are used again, because making one costs more than all its options together.
// Those in the pool are prepared: what every request has in common is set already, so that a plain
// GET only sets what is its own.

#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <vector>

namespace weft::curl {

// What has been set on a handle beside what every request sets for itself.
enum class HandleState : std::uint8_t {
  kPlain,       // Nothing.
  kChanged,     // Options that curl_easy_reset takes back.
  kConfigured,  // By the user: also what a reset leaves in place, as cookies.
};

class HandlePool {
 public:
  HandlePool();
  HandlePool(const HandlePool&) = delete;
  HandlePool& operator=(const HandlePool&) = delete;
  // All handles have been given back.
  ~HandlePool();

  CURL* take();
  void give_back(CURL* easy, HandleState state) noexcept;
  // Frees the handles in it, and from now on those that come back.
  void close() noexcept;

 private:
  void forget_configuration(CURL* easy) const noexcept;

  CURLSH* share_;  // TLS sessions. libcurl itself shares connections and name look-ups.
  std::vector<CURL*> idle_;
  bool closed_ = false;
};

}  // namespace weft::curl
