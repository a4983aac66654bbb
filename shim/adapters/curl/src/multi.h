// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The multi handle of a loop: libcurl's socket and timer callbacks in terms of add_reader,
// add_writer and call_later.
//
// libcurl's rules, and how they are kept. Its multi functions may not be called from its callbacks:
// every call goes through a Section, which also forbids waiting, so nobody else can get in between.
// socket_action may not be called from the timer callback: that only arms a timer of the loop. No
// exception may pass through libcurl: the callbacks catch everything.

#pragma once

#include <curl/curl.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <unordered_map>

#include "shim/adapters/curl/src/handle_pool.h"
#include "shim/adapters/curl/src/signal.h"
#include "weft/curl/multi_options.h"
#include "weft/loop/event_loop.h"

namespace weft::curl {

// One transfer, as far as the multi handle knows it. Lies on the stack of the task that waits.
struct Pending {
  // Set when it is over: libcurl's verdict...
  std::optional<CURLcode> result;
  // ...or, instead or beside it, an exception to throw.
  std::exception_ptr error;
  Signal news;

  bool is_over() const { return result.has_value() || error != nullptr; }
};

class Multi {
 public:
  explicit Multi(loop::EventLoop& loop);
  Multi(const Multi&) = delete;
  Multi& operator=(const Multi&) = delete;
  ~Multi();

  // Fails what is still under way. Called while the loop can still be used, before it goes.
  void close();

  // Starts `easy`. Throws UsageError if libcurl refuses.
  void add(CURL* easy, Pending& pending);
  // Takes it off, if it is there. Does not wait for a name look-up, which goes on in its thread.
  void remove(CURL* easy) noexcept;
  // Goes on with a paused transfer, in all directions but those that are `still_paused`
  // (CURLPAUSE_*). May call its callbacks.
  void resume(CURL* easy, int still_paused);

  HandlePool& handles() { return handles_; }

  // Throws UsageError if libcurl refuses an option.
  void set_options(const MultiOptions& options);

 private:
  class Section;
  static int on_socket(CURL* easy, curl_socket_t fd, int what, void* self, void* known) noexcept;
  static int on_timer(CURLM* multi, long milliseconds, void* self) noexcept;
  void set_callbacks();
  void keep_connections_for(std::size_t transfers);
  void watch(curl_socket_t fd, int what, std::uintptr_t before);
  void arm_timer(long milliseconds);
  void stop_timer();
  void act(curl_socket_t fd, int events);
  void collect();
  void fail_all(const std::exception_ptr& error);

  loop::EventLoop& loop_;
  HandlePool handles_;
  CURLM* multi_;
  bool busy_ = false;  // Inside a call into libcurl.
  // Not one of Abseil's, whose tables are broken after an allocation that failed.
  std::unordered_map<CURL*, Pending*> pending_;
  // How many connections are kept if the options leave it to us; 0 if they do not.
  std::size_t kept_connections_ = 0;
  loop::TimerHandle timer_;
  std::exception_ptr hook_error_;  // Of a callback; no transfer can go on after one.
};

}  // namespace weft::curl
