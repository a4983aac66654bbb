// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "shim/adapters/curl/src/handle_pool.h"

#include <new>
#include <stdexcept>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "shim/adapters/curl/src/transfer.h"

namespace weft::curl {

namespace {

constexpr std::size_t kMostIdle = 256;

// In time: the pool is what uses libcurl first.
CURLSH* make_share_handle() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) throw std::runtime_error("libcurl cannot be initialised");
  CURLSH* share = curl_share_init();
  if (share == nullptr) throw std::bad_alloc();
  return share;
}

}  // namespace

HandlePool::HandlePool() : share_(make_share_handle()) {
  const CURLSHcode code = curl_share_setopt(share_, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  if (code == CURLSHE_OK) return;
  curl_share_cleanup(share_);
  throw std::bad_alloc();
}

HandlePool::~HandlePool() {
  close();
  curl_share_cleanup(share_);
}

CURL* HandlePool::take() {
  if (!idle_.empty()) {
    CURL* easy = idle_.back();
    idle_.pop_back();
    return easy;
  }
  CURL* easy = curl_easy_init();
  if (easy == nullptr) throw std::bad_alloc();
  absl::Cleanup on_error = [easy] { curl_easy_cleanup(easy); };
  set_option(easy, CURLOPT_SHARE, share_);
  Transfer::prepare(easy);
  std::move(on_error).Cancel();
  return easy;
}

void HandlePool::give_back(CURL* easy, HandleState state) noexcept {
  try {
    if (!closed_ && idle_.size() < kMostIdle) {
      if (state == HandleState::kConfigured) forget_configuration(easy);
      if (state != HandleState::kPlain) {
        curl_easy_reset(easy);
        Transfer::prepare(easy);
      }
      // It lay on the stack of the task.
      curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, nullptr);
      idle_.push_back(easy);
      return;
    }
  } catch (const std::bad_alloc&) {  // One handle fewer.
  }
  curl_easy_cleanup(easy);
}

void HandlePool::close() noexcept {
  closed_ = true;
  for (CURL* easy : std::exchange(idle_, {})) curl_easy_cleanup(easy);
}

// What a reset leaves in place. An option that this libcurl was built without cannot be in use.
void HandlePool::forget_configuration(CURL* easy) const noexcept {
  curl_easy_setopt(easy, CURLOPT_COOKIELIST, "FLUSH");  // Into the jar, if there is one.
  curl_easy_setopt(easy, CURLOPT_COOKIEFILE, nullptr);  // Forgets them and switches cookies off.
  // For good: libcurl loses the TLS sessions of a handle that gets another share.
  curl_easy_setopt(easy, CURLOPT_SHARE, nullptr);
  curl_easy_setopt(easy, CURLOPT_HSTS, nullptr);
  curl_easy_setopt(easy, CURLOPT_HSTS_CTRL, 0L);
  // Alt-Svc cannot be switched off again, but allowed no protocol at all.
  curl_easy_setopt(easy, CURLOPT_ALTSVC_CTRL, static_cast<long>(CURLALTSVC_READONLYFILE));
}

}  // namespace weft::curl
