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

#include <exception>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "weft/loop/event_loop.h"
#include "weft/shim/portal.h"

namespace weft::curl {

// One transfer, as far as the multi handle knows it. Lies on the stack of the task that waits.
class Pending {
 public:
  // Set when it is over: libcurl's verdict...
  std::optional<CURLcode> result;
  // ...or, instead or beside it, an exception to throw.
  std::exception_ptr error;
  bool is_over() const { return result.has_value() || error != nullptr; }

  // Something is new for the waiting task.
  void notify();
  // Until notify(), or at once if that has been called since the last wait.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: the task only stops waiting; the transfer goes on until it is removed.
  // Threads: the run's own only.
  void wait();

 private:
  bool news_ = false;
  std::optional<shim::Completion<void>> waiter_;
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
  // Goes on with a paused transfer; may call its write callback.
  void resume(CURL* easy);

  // A fresh handle, and back with it. Handles are kept, for making one costs more than a request.
  CURL* take_easy();
  void give_back(CURL* easy) noexcept;

 private:
  class Section;
  static int on_socket(CURL* easy, curl_socket_t fd, int what, void* self, void* unused) noexcept;
  static int on_timer(CURLM* multi, long milliseconds, void* self) noexcept;
  void watch(curl_socket_t fd, int what);
  void arm_timer(long milliseconds);
  void stop_timer();
  void act(curl_socket_t fd, int events);
  void collect();
  void fail_all(const std::exception_ptr& error);

  loop::EventLoop& loop_;
  CURLM* multi_;
  bool busy_ = false;  // Inside a call into libcurl.
  std::unordered_map<CURL*, Pending*> pending_;
  loop::TimerHandle timer_;
  std::exception_ptr hook_error_;  // Of a callback; no transfer can go on after one.
  std::vector<CURL*> idle_;
};

}  // namespace weft::curl
