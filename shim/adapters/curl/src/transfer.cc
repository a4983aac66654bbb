// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "shim/adapters/curl/src/transfer.h"

#include <new>
#include <utility>

#include "weft/fibers/errors.h"

namespace weft::curl {

namespace {

template <class T>
T info(CURL* easy, CURLINFO which) {
  T value{};
  curl_easy_getinfo(easy, which, &value);
  return value;
}

std::string text_info(CURL* easy, CURLINFO which) {
  const char* text = info<const char*>(easy, which);
  return text == nullptr ? std::string() : text;
}

template <class T>
void set(CURL* easy, CURLoption option, T value) {
  const CURLcode code = curl_easy_setopt(easy, option, value);
  if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
  if (code != CURLE_OK) {
    throw fibers::UsageError(std::string("libcurl refuses an option: ") + curl_easy_strerror(code));
  }
}

}  // namespace

Response describe(CURL* easy) {
  Response response;
  response.status = info<long>(easy, CURLINFO_RESPONSE_CODE);
  response.redirects = info<long>(easy, CURLINFO_REDIRECT_COUNT);
  response.effective_url = text_info(easy, CURLINFO_EFFECTIVE_URL);
  response.content_type = text_info(easy, CURLINFO_CONTENT_TYPE);
  // -1: of the last response.
  for (curl_header* h = curl_easy_nextheader(easy, CURLH_HEADER, -1, nullptr); h != nullptr;
       h = curl_easy_nextheader(easy, CURLH_HEADER, -1, h)) {
    response.headers.push_back({h->name, h->value});
  }
  return response;
}

void throw_failure(const Pending& pending, const std::string& url, std::string_view detail) {
  if (pending.error != nullptr) std::rethrow_exception(pending.error);
  if (pending.result != CURLE_OK) throw Error(*pending.result, url, detail);
}

Transfer::Transfer(std::shared_ptr<Multi> multi, const std::string& url, const Options& options,
                   const Sink* sink)
    : multi_(std::move(multi)),
      url_(url),
      options_(options),
      sink_(sink),
      easy_(multi_->take_easy()) {}

Transfer::~Transfer() {
  if (reusable_) {
    multi_->give_back(easy_);
  } else {
    curl_easy_cleanup(easy_);
  }
  curl_slist_free_all(header_lines_);
}

Response Transfer::run() {
  set_up();
  const Removal removal(*multi_, easy_);
  multi_->add(easy_, pending_);
  if (sink_ != nullptr) feed_sink();
  while (!pending_.is_over()) pending_.wait();
  throw_failure(pending_, url_, error_text_);
  Response response = describe(easy_);
  response.body = std::move(body_);
  return response;
}

void Transfer::set_up() {
  set(easy_, CURLOPT_URL, url_.c_str());
  set(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy_, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  set(easy_, CURLOPT_NOSIGNAL, 1L);
  set(easy_, CURLOPT_ERRORBUFFER, static_cast<char*>(error_text_));
  set(easy_, CURLOPT_FOLLOWLOCATION, options_.follow_location ? 1L : 0L);
  set(easy_, CURLOPT_MAXREDIRS, options_.max_redirects);
  if (!options_.user_agent.empty()) set(easy_, CURLOPT_USERAGENT, options_.user_agent.c_str());
  if (!options_.verify_tls) {
    set(easy_, CURLOPT_SSL_VERIFYPEER, 0L);
    set(easy_, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  set_method();
  set_headers();
  if (options_.configure) {
    reusable_ = false;  // Cookies, say, survive a reset.
    options_.configure(easy_);
  }
  set(easy_, CURLOPT_WRITEFUNCTION, &Transfer::on_write);
  set(easy_, CURLOPT_WRITEDATA, static_cast<void*>(this));
}

void Transfer::set_method() {
  const std::string& method = options_.method;
  const bool has_body = !options_.body.empty();
  if (method == "HEAD") {
    set(easy_, CURLOPT_NOBODY, 1L);
    return;
  }
  if (method == "POST" || (method.empty() && has_body)) {
    set(easy_, CURLOPT_POST, 1L);
  } else if (!method.empty() && method != "GET") {
    set(easy_, CURLOPT_CUSTOMREQUEST, method.c_str());
  }
  if (has_body || method == "POST") {
    set(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(options_.body.size()));
    set(easy_, CURLOPT_POSTFIELDS, options_.body.data());
  }
}

void Transfer::set_headers() {
  for (const std::string& line : options_.headers) {
    curl_slist* longer = curl_slist_append(header_lines_, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    header_lines_ = longer;
  }
  if (header_lines_ != nullptr) set(easy_, CURLOPT_HTTPHEADER, header_lines_);
}

// Called by libcurl. An exception must not pass through it: it is kept for the waiting task.
std::size_t Transfer::on_write(char* data, std::size_t size, std::size_t count,
                               void* self) noexcept {
  auto& transfer = *static_cast<Transfer*>(self);
  try {
    return transfer.write({data, size * count});
  } catch (...) {
    transfer.pending_.error = std::current_exception();
    return CURL_WRITEFUNC_ERROR;
  }
}

// CURL_WRITEFUNC_PAUSE: libcurl keeps the piece and brings it again.
std::size_t Transfer::write(std::string_view piece) {
  if (sink_ != nullptr && !body_.empty() && body_.size() + piece.size() > kStreamBuffer) {
    paused_ = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  count(piece);
  if (sink_ == nullptr && options_.on_body) {
    options_.on_body(piece);
  } else {
    body_.append(piece);
    if (sink_ != nullptr) pending_.notify();
  }
  return piece.size();
}

void Transfer::count(std::string_view piece) {
  received_ += piece.size();
  if (received_ <= options_.max_body_size) return;
  throw Error(CURLE_FILESIZE_EXCEEDED, url_,
              "the body is longer than " + std::to_string(options_.max_body_size) + " bytes");
}

// Hands over what has come, until there is no more: here, in the waiting task, where the sink may
// wait. Meanwhile the next buffer fills.
void Transfer::feed_sink() {
  while (!pending_.is_over() || !body_.empty()) {
    if (body_.empty()) {
      pending_.wait();
      continue;
    }
    const std::string pieces = std::exchange(body_, {});
    if (std::exchange(paused_, false)) multi_->resume(easy_);
    (*sink_)(pieces);
  }
}

}  // namespace weft::curl
