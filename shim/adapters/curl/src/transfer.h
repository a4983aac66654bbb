// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// One request: an easy handle from the pool, set up from Options, and what its callbacks collect.

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "shim/adapters/curl/src/multi.h"
#include "weft/curl/curl.h"

namespace weft::curl {

// The last response on `easy`, without a body.
Response describe(CURL* easy);
// Throws what has gone wrong with `pending`, if anything has.
void throw_failure(const Pending& pending, const std::string& url, std::string_view detail);

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

  // Blocks: yes, always a checkpoint.
  // Cancel: takes the transfer off.
  // Threads: the run's own only.
  Response run();

 private:
  static std::size_t on_write(char* data, std::size_t size, std::size_t count, void* self) noexcept;
  void set_up();
  void set_method();
  void set_headers();
  std::size_t write(std::string_view piece);
  void count(std::string_view piece);
  void feed_sink();

  const std::shared_ptr<Multi> multi_;
  const std::string& url_;
  const Options& options_;
  const Sink* const sink_;
  CURL* const easy_;
  Pending pending_;
  curl_slist* header_lines_ = nullptr;
  std::string body_;  // With a sink: what it has not got yet.
  std::size_t received_ = 0;
  bool paused_ = false;
  bool reusable_ = true;  // No option is set that a reset leaves in place.
  char error_text_[CURL_ERROR_SIZE] = {};
};

}  // namespace weft::curl
