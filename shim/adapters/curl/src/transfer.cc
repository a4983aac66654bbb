// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "shim/adapters/curl/src/transfer.h"

#include <sys/socket.h>

#include <cerrno>
#include <new>
#include <span>
#include <utility>

#include "shim/adapters/curl/src/local_failure.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"

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

}  // namespace

void throw_refusal(CURLcode code) {
  if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
  throw fibers::UsageError(std::string("libcurl refuses an option: ") + curl_easy_strerror(code));
}

Response describe(CURL* easy) {
  Response response;
  response.status = info<long>(easy, CURLINFO_RESPONSE_CODE);
  response.redirects = info<long>(easy, CURLINFO_REDIRECT_COUNT);
  response.effective_url = text_info(easy, CURLINFO_EFFECTIVE_URL);
  response.content_type = text_info(easy, CURLINFO_CONTENT_TYPE);
  return response;
}

void throw_failure(CURL* easy, const Pending& pending, int socket_error, const std::string& url,
                   std::string_view detail) {
  if (pending.error != nullptr) std::rethrow_exception(pending.error);
  const CURLcode result = *pending.result;
  if (result == CURLE_OK) return;
  if (const int lack = local_failure(easy, result, socket_error, detail)) {
    throw LocalError(lack, url, detail);
  }
  throw Error(result, url, detail);
}

Transfer::Transfer(std::shared_ptr<Multi> multi, const std::string& url, const Options& options,
                   const Sink* sink)
    : multi_(std::move(multi)),
      url_(url),
      options_(options),
      sink_(sink),
      easy_(multi_->handles().take()) {}

Transfer::~Transfer() {
  multi_->handles().give_back(easy_, handle_state_);
  curl_slist_free_all(header_lines_);
}

Response Transfer::run() {
  set_up();
  const Removal removal(*multi_, easy_);
  multi_->add(easy_, pending_);
  if (upload_) {
    receive_while_uploading();
  } else {
    receive();
  }
  throw_failure(easy_, pending_, socket_error_, url_, error_text_);
  if (head_ != Head::kShown) show_head();
  Response response = describe(easy_);
  response.headers = std::move(headers_);
  response.body = std::move(body_);
  return response;
}

void Transfer::prepare(CURL* easy) {
  static const Options defaults;
  set_option(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set_option(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  set_option(easy, CURLOPT_NOSIGNAL, 1L);
  set_option(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);  // A proxy's are not the response's.
  set_option(easy, CURLOPT_FOLLOWLOCATION, defaults.follow_location ? 1L : 0L);
  set_option(easy, CURLOPT_MAXREDIRS, defaults.max_redirects);
  set_option(easy, CURLOPT_USERAGENT, defaults.user_agent.c_str());
  set_option(easy, CURLOPT_OPENSOCKETFUNCTION, &Transfer::on_open_socket);
  set_option(easy, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set_option(easy, CURLOPT_WRITEFUNCTION, &Transfer::on_write);
}

template <class T>
void Transfer::change(CURLoption option, T value) {
  if (handle_state_ == HandleState::kPlain) handle_state_ = HandleState::kChanged;
  set_option(easy_, option, value);
}

void Transfer::set_up() {
  static const Options defaults;
  set_option(easy_, CURLOPT_URL, url_.c_str());
  set_option(easy_, CURLOPT_ERRORBUFFER, static_cast<char*>(error_text_));
  if (!options_.follow_location) change(CURLOPT_FOLLOWLOCATION, 0L);
  if (options_.max_redirects != defaults.max_redirects) {
    change(CURLOPT_MAXREDIRS, options_.max_redirects);
  }
  if (options_.user_agent != defaults.user_agent) {
    change(CURLOPT_USERAGENT, options_.user_agent.empty() ? nullptr : options_.user_agent.c_str());
  }
  if (!options_.verify_tls) {
    change(CURLOPT_SSL_VERIFYPEER, 0L);
    change(CURLOPT_SSL_VERIFYHOST, 0L);
  }
  set_method();
  set_headers();
  set_option(easy_, CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
  if (options_.configure) {
    handle_state_ = HandleState::kConfigured;
    options_.configure(easy_);
    set_option(easy_, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
    set_option(easy_, CURLOPT_WRITEFUNCTION, &Transfer::on_write);
  }
  set_option(easy_, CURLOPT_HEADERDATA, static_cast<void*>(this));
  set_option(easy_, CURLOPT_WRITEDATA, static_cast<void*>(this));
  if (!upload_) return;
  change(CURLOPT_READFUNCTION, &Transfer::on_read);
  change(CURLOPT_READDATA, static_cast<void*>(this));
}

void Transfer::set_method() {
  const std::string& method = options_.method;
  const bool has_body = !options_.body.empty();
  if (options_.upload) return set_upload();
  if (method == "HEAD") {
    change(CURLOPT_NOBODY, 1L);
    return;
  }
  if (method == "POST" || (method.empty() && has_body)) {
    change(CURLOPT_POST, 1L);
  } else if (!method.empty() && method != "GET") {
    change(CURLOPT_CUSTOMREQUEST, method.c_str());
  }
  if (has_body || method == "POST") {
    change(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(options_.body.size()));
    change(CURLOPT_POSTFIELDS, options_.body.data());
  }
}

// A size of -1: unknown.
void Transfer::set_upload() {
  if (!options_.body.empty()) {
    throw fibers::UsageError("a request has one body: set either Options::body or ::upload");
  }
  const std::string& method = options_.method;
  const auto size = options_.upload_size ? static_cast<curl_off_t>(*options_.upload_size) : -1;
  if (method.empty() || method == "POST") {
    change(CURLOPT_POST, 1L);
    change(CURLOPT_POSTFIELDSIZE_LARGE, size);
  } else {
    change(CURLOPT_UPLOAD, 1L);
    change(CURLOPT_INFILESIZE_LARGE, size);
    if (method != "PUT") change(CURLOPT_CUSTOMREQUEST, method.c_str());
  }
  upload_.emplace(options_.upload, [this] { resume(); });
}

void Transfer::set_headers() {
  for (const std::string& line : options_.headers) {
    curl_slist* longer = curl_slist_append(header_lines_, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    header_lines_ = longer;
  }
  if (header_lines_ != nullptr) change(CURLOPT_HTTPHEADER, header_lines_);
}

// libcurl calls these. An exception must not pass through it: it is kept for the waiting task.

std::size_t Transfer::on_header(char* data, std::size_t size, std::size_t count,
                                void* self) noexcept {
  auto& transfer = *static_cast<Transfer*>(self);
  try {
    transfer.take_header({data, size * count});
    return size * count;
  } catch (...) {
    transfer.pending_.error = std::current_exception();
    return CURL_WRITEFUNC_ERROR;
  }
}

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

std::size_t Transfer::on_read(char* room, std::size_t size, std::size_t count,
                              void* self) noexcept {
  auto& transfer = *static_cast<Transfer*>(self);
  try {
    return transfer.upload_->read(std::as_writable_bytes(std::span(room, size * count)));
  } catch (...) {
    transfer.pending_.error = std::current_exception();
    return CURL_READFUNC_ABORT;
  }
}

// As libcurl would do it. It forgets why a socket could not be opened; we do not.
curl_socket_t Transfer::on_open_socket(void* self, curlsocktype, curl_sockaddr* address) noexcept {
  const int fd = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd >= 0) return fd;
  static_cast<Transfer*>(self)->socket_error_ = errno;
  return CURL_SOCKET_BAD;
}

// Each response begins with a status line; lines after the empty one are trailers.
void Transfer::take_header(std::string_view line) {
  if (line.starts_with("HTTP/")) {
    headers_.clear();
    if (head_ != Head::kShown) head_ = Head::kOpen;
  } else if (line == "\r\n" || line == "\n") {
    if (head_ != Head::kOpen) return;
    head_ = Head::kComplete;
    if (!may_be_followed_by_another()) head_is_ready();
  } else if (head_ == Head::kOpen) {
    headers_.add_line(line);
  }
}

// Whether libcurl may go on to another request or response after this one. If it does not, the
// first piece of the body tells, or the end.
bool Transfer::may_be_followed_by_another() const {
  const long status = info<long>(easy_, CURLINFO_RESPONSE_CODE);
  const bool redirects = options_.follow_location && status >= 300 && status < 400;
  return status < 200 || redirects || status == 401 || status == 407 || status == 417;
}

void Transfer::head_is_ready() {
  head_ = Head::kReady;
  if (upload_ && info<long>(easy_, CURLINFO_RESPONSE_CODE) >= 300) stop_upload();
  if (!options_.on_head) {
    head_ = Head::kShown;
  } else if (sink_ != nullptr) {
    pending_.news.notify();
  } else {
    show_head();
  }
}

// The server does not want the rest. libcurl would notice it by itself, and close the connection,
// unless the upload is paused: then it would wait for it to go on. (The one function of libcurl
// that may be called in its callbacks.)
void Transfer::stop_upload() {
  upload_->stop();
  curl_easy_pause(easy_, paused_ ? CURLPAUSE_RECV : CURLPAUSE_CONT);
}

void Transfer::show_head() {
  head_ = Head::kShown;
  if (!options_.on_head) return;
  Response head = describe(easy_);
  head.headers = headers_;
  options_.on_head(head);
}

// CURL_WRITEFUNC_PAUSE: libcurl keeps the piece and brings it again.
std::size_t Transfer::write(std::string_view piece) {
  if (head_ < Head::kReady) head_is_ready();
  if (sink_ != nullptr && !body_.empty() && body_.size() + piece.size() > kStreamBuffer) {
    paused_ = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  count(piece);
  if (sink_ == nullptr && options_.on_body) {
    options_.on_body(piece);
  } else {
    body_.append(piece);
    if (sink_ != nullptr) pending_.news.notify();
  }
  return piece.size();
}

void Transfer::count(std::string_view piece) {
  received_ += piece.size();
  if (received_ <= options_.max_body_size) return;
  throw Error(CURLE_FILESIZE_EXCEEDED, url_,
              "the body is longer than " + std::to_string(options_.max_body_size) + " bytes");
}

void Transfer::resume() {
  const bool waits_for_upload = upload_ && upload_->is_paused();
  multi_->resume(easy_, (paused_ ? CURLPAUSE_RECV : 0) | (waits_for_upload ? CURLPAUSE_SEND : 0));
}

void Transfer::receive() {
  if (sink_ != nullptr) feed_sink();
  while (!pending_.is_over()) pending_.news.wait();
}

// The nursery is there for the task that provides the upload; its errors do not come out in a
// group.
void Transfer::receive_while_uploading() {
  std::exception_ptr error;
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    nursery.start_soon([this] { provide_upload(); }, {.name = "the upload of " + url_});
    try {
      receive();
    } catch (...) {
      error = std::current_exception();
    }
    nursery.cancel_scope().cancel("the transfer is over");
  });
  if (error != nullptr) std::rethrow_exception(error);
}

void Transfer::provide_upload() {
  try {
    upload_->provide();
  } catch (const fibers::Cancelled&) {
    throw;
  } catch (...) {
    pending_.error = std::current_exception();
    pending_.news.notify();
  }
}

// Hands over what has come, until there is no more: here, in the waiting task, where the sink may
// wait. Meanwhile the next buffer fills.
void Transfer::feed_sink() {
  while (!pending_.is_over() || !body_.empty() || head_ == Head::kReady) {
    if (head_ == Head::kReady) {
      show_head();
    } else if (body_.empty()) {
      pending_.news.wait();
    } else {
      const std::string pieces = std::exchange(body_, {});
      if (std::exchange(paused_, false)) resume();
      (*sink_)(pieces);
    }
  }
}

}  // namespace weft::curl
