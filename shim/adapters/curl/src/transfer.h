// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// One request: an easy handle from the pool, set up from Options, and what its callbacks collect.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "shim/adapters/curl/src/multi.h"
#include "shim/adapters/curl/src/upload.h"
#include "weft/curl/curl.h"

namespace weft::curl {

[[noreturn]] void throw_refusal(CURLcode code);
// Throws UsageError if libcurl refuses, bad_alloc if it lacks memory.
template <class T>
void set_option(CURL* easy, CURLoption option, T value) {
  const CURLcode code = curl_easy_setopt(easy, option, value);
  if (code != CURLE_OK) throw_refusal(code);
}

// The last response on `easy`, without headers and body.
Response describe(CURL* easy);
// Throws what has gone wrong with `pending`, if anything has: a LocalError if this process lacked
// something, as local_failure() finds it.
void throw_failure(CURL* easy, const Pending& pending, int socket_error, const std::string& url,
                   std::string_view detail);

// Takes a transfer off the multi handle, whatever happens: also while the waiting task unwinds.
class Removal {
 public:
  Removal(Multi& multi, CURL* easy) : multi_(multi), easy_(easy) {}
  Removal(const Removal&) = delete;
  Removal& operator=(const Removal&) = delete;
  ~Removal() { multi_.remove(easy_); }

 private:
  Multi& multi_;
  CURL* easy_;
};

class Transfer {
 public:
  using Sink = std::function<void(std::string_view)>;

  // `url` and `options` outlive it. With a sink the body goes there.
  Transfer(std::shared_ptr<Multi> multi, const std::string& url, const Options& options,
           const Sink* sink);
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer();

  // Sets on a fresh handle what all requests have in common, the defaults of Options included.
  static void prepare(CURL* easy);

  // Blocks: yes, always a checkpoint.
  // Cancel: takes the transfer off.
  // Threads: the run's own only.
  Response run();

 private:
  // What has become of the response's head.
  enum class Head : std::uint8_t {
    kNone,      // Nothing has come.
    kOpen,      // Its lines are coming.
    kComplete,  // All lines have come; libcurl may still go on to another request.
    kReady,     // It is the last one, and is due to be shown.
    kShown,     // on_head has been called, or there is none.
  };

  static std::size_t on_header(char* data, std::size_t size, std::size_t count,
                               void* self) noexcept;
  static std::size_t on_write(char* data, std::size_t size, std::size_t count, void* self) noexcept;
  static std::size_t on_read(char* room, std::size_t size, std::size_t count, void* self) noexcept;
  static curl_socket_t on_open_socket(void* self, curlsocktype purpose,
                                      curl_sockaddr* address) noexcept;
  template <class T>
  void change(CURLoption option, T value);
  void set_up();
  void set_method();
  void set_upload();
  void set_headers();

  void take_header(std::string_view line);
  bool may_be_followed_by_another() const;
  void head_is_ready();
  void stop_upload();
  void show_head();

  std::size_t write(std::string_view piece);
  void count(std::string_view piece);
  void resume();

  void receive();
  void receive_while_uploading();
  void provide_upload();
  void feed_sink();

  const std::shared_ptr<Multi> multi_;
  const std::string& url_;
  const Options& options_;
  const Sink* const sink_;
  CURL* const easy_;
  Pending pending_;
  curl_slist* header_lines_ = nullptr;
  Head head_ = Head::kNone;
  Headers headers_;
  std::string body_;  // With a sink: what it has not got yet.
  std::size_t received_ = 0;
  bool paused_ = false;
  std::optional<Upload> upload_;
  HandleState handle_state_ = HandleState::kPlain;
  int socket_error_ = 0;  // Of the last socket() that failed.
  char error_text_[CURL_ERROR_SIZE] = {};
};

}  // namespace weft::curl
