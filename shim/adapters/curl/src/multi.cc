// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "shim/adapters/curl/src/multi.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/no_suspend.h"
#include "weft/fibers/task.h"

namespace weft::curl {

namespace {

constexpr std::size_t kFewestConnections = 100;

CURLM* make_multi_handle() {
  CURLM* multi = curl_multi_init();
  if (multi == nullptr) throw std::bad_alloc();
  return multi;
}

[[noreturn]] void refuse_handle(CURLMcode code) {
  if (code == CURLM_OUT_OF_MEMORY) throw std::bad_alloc();
  throw fibers::UsageError(std::string("libcurl does not take this handle: ") +
                           curl_multi_strerror(code));
}

std::exception_ptr failure_of_multi(CURLMcode code) {
  if (code == CURLM_OUT_OF_MEMORY) return std::make_exception_ptr(std::bad_alloc());
  return std::make_exception_ptr(std::runtime_error(std::string("libcurl's multi handle failed: ") +
                                                    curl_multi_strerror(code)));
}

template <class T>
void set(CURLM* multi, CURLMoption option, T value) {
  const CURLMcode code = curl_multi_setopt(multi, option, value);
  if (code != CURLM_OK) {
    throw fibers::UsageError(std::string("libcurl refuses an option of the multi handle: ") +
                             curl_multi_strerror(code));
  }
}

}  // namespace

// A stretch of code that is inside libcurl.
class Multi::Section {
 public:
  explicit Section(Multi& multi) : multi_(multi) {
    if (multi.busy_) {
      throw fibers::UsageError(
          "weft::curl was called from inside a callback of libcurl; hand the work to another task, "
          "or use curl::stream(), whose sink may do anything");
    }
    if (fibers::in_trio_task()) guard_.emplace("a callback of libcurl");
    multi.busy_ = true;
  }
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;
  ~Section() { multi_.busy_ = false; }

 private:
  Multi& multi_;
  std::optional<fibers::NoSuspend> guard_;
};

Multi::Multi(loop::EventLoop& loop) : loop_(loop), multi_(make_multi_handle()) {
  set_callbacks();
  keep_connections_for(kFewestConnections);
}

Multi::~Multi() {
  close();
}

void Multi::set_callbacks() {
  set(multi_, CURLMOPT_SOCKETFUNCTION, &Multi::on_socket);
  set(multi_, CURLMOPT_SOCKETDATA, this);
  set(multi_, CURLMOPT_TIMERFUNCTION, &Multi::on_timer);
  set(multi_, CURLMOPT_TIMERDATA, this);
}

void Multi::set_options(const MultiOptions& options) {
  if (multi_ == nullptr) throw fibers::ClosedResourceError("the loop has been closed");
  const Section section(*this);
  set(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, options.max_total_connections);
  set(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, options.max_host_connections);
  set(multi_, CURLMOPT_PIPELINING, options.multiplex ? CURLPIPE_MULTIPLEX : CURLPIPE_NOTHING);
  set(multi_, CURLMOPT_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
  kept_connections_ = 0;
  if (options.max_connections != 0) {
    set(multi_, CURLMOPT_MAXCONNECTS, options.max_connections);
  } else {
    keep_connections_for(std::max(kFewestConnections, pending_.size()));
  }
  if (!options.configure) return;
  const auto callbacks = absl::MakeCleanup([this] { set_callbacks(); });
  options.configure(multi_);
}

// Without a number libcurl keeps four times as many as there are transfers at the moment: when
// these become few for a moment, it closes connections that are needed again right after.
void Multi::keep_connections_for(std::size_t transfers) {
  set(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(transfers));
  kept_connections_ = transfers;
}

void Multi::close() {
  if (multi_ == nullptr) return;
  fail_all(std::make_exception_ptr(
      fibers::ClosedResourceError("the loop was closed while the transfer was under way")));
  handles_.close();
  {
    const Section section(*this);
    curl_multi_cleanup(multi_);  // Calls on_socket for the connections it closes.
  }
  multi_ = nullptr;
  stop_timer();
}

void Multi::add(CURL* easy, Pending& pending) {
  if (multi_ == nullptr) throw fibers::ClosedResourceError("the loop has been closed");
  {
    const Section section(*this);
    if (!pending_.emplace(easy, &pending).second) refuse_handle(CURLM_ADDED_ALREADY);
    const CURLMcode code = curl_multi_add_handle(multi_, easy);
    if (code != CURLM_OK) {
      pending_.erase(easy);
      refuse_handle(code);
    }
  }
  if (kept_connections_ != 0 && pending_.size() > kept_connections_) {
    keep_connections_for(2 * pending_.size());
  }
  if (hook_error_ != nullptr) fail_all(std::exchange(hook_error_, nullptr));
}

void Multi::remove(CURL* easy) noexcept {
  const auto found = pending_.find(easy);
  if (found == pending_.end()) return;
  const bool done = found->second->result.has_value();
  pending_.erase(found);
  const Section section(*this);
  if (!done) curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_multi_remove_handle(multi_, easy);
  if (!done) curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 0L);
}

void Multi::resume(CURL* easy, int still_paused) {
  if (!pending_.contains(easy)) return;
  const Section section(*this);
  curl_easy_pause(easy, still_paused);
}

// If the loop refuses, every transfer ends with its error. Answering -1 would make the multi handle
// useless for ever.
int Multi::on_socket(CURL*, curl_socket_t fd, int what, void* self, void* known) noexcept {
  auto& multi = *static_cast<Multi*>(self);
  try {
    multi.watch(fd, what, reinterpret_cast<std::uintptr_t>(known));
  } catch (...) {
    multi.hook_error_ = std::current_exception();
    multi.loop_.remove_reader(fd);
    multi.loop_.remove_writer(fd);
  }
  return 0;
}

int Multi::on_timer(CURLM*, long milliseconds, void* self) noexcept {
  auto& multi = *static_cast<Multi*>(self);
  try {
    multi.arm_timer(milliseconds);
  } catch (...) {
    multi.hook_error_ = std::current_exception();
  }
  return 0;
}

// Takes effect at once. After CURL_POLL_REMOVE libcurl may close the descriptor, or go on with it.
// libcurl remembers for each descriptor what it is watched for (curl_multi_assign), and forgets it
// with CURL_POLL_REMOVE: `before` is that, or 0.
void Multi::watch(curl_socket_t fd, int what, std::uintptr_t before) {
  const bool reads = what == CURL_POLL_IN || what == CURL_POLL_INOUT;
  const bool writes = what == CURL_POLL_OUT || what == CURL_POLL_INOUT;
  const bool read = (before & CURL_POLL_IN) != 0;
  const bool wrote = (before & CURL_POLL_OUT) != 0;
  if (reads && !read) loop_.add_reader(fd, [this, fd] { act(fd, CURL_CSELECT_IN); });
  if (!reads && read) loop_.remove_reader(fd);
  if (writes && !wrote) loop_.add_writer(fd, [this, fd] { act(fd, CURL_CSELECT_OUT); });
  if (!writes && wrote) loop_.remove_writer(fd);
  if (what == CURL_POLL_REMOVE) return;
  // A number in a pointer's place.
  void* now = reinterpret_cast<void*>(static_cast<std::uintptr_t>(what));
  curl_multi_assign(multi_, fd, now);
}

void Multi::stop_timer() {
  if (timer_) timer_.cancel();
  timer_ = {};
}

void Multi::arm_timer(long milliseconds) {
  stop_timer();
  if (milliseconds < 0) return;
  timer_ = loop_.call_later(std::chrono::milliseconds(milliseconds),
                            [this] { act(CURL_SOCKET_TIMEOUT, 0); });
}

// A descriptor is ready, or the time is up.
void Multi::act(curl_socket_t fd, int events) {
  if (multi_ == nullptr) return;
  CURLMcode code = CURLM_OK;
  {
    const Section section(*this);
    int running = 0;
    code = curl_multi_socket_action(multi_, fd, events, &running);
  }
  if (code != CURLM_OK && hook_error_ == nullptr) hook_error_ = failure_of_multi(code);
  // Nothing can be relied on after that: a descriptor may not be watched, or the timer not run.
  if (hook_error_ != nullptr) fail_all(std::exchange(hook_error_, nullptr));
  collect();
}

// Takes off what has ended and tells the tasks.
void Multi::collect() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    // The message goes with the handle.
    CURL* easy = message->easy_handle;
    const CURLcode result = message->data.result;
    const auto found = pending_.find(easy);
    if (found == pending_.end()) continue;
    Pending& pending = *found->second;
    pending.result = result;
    remove(easy);
    pending.news.notify();
  }
}

void Multi::fail_all(const std::exception_ptr& error) {
  while (!pending_.empty()) {
    const auto [easy, pending] = *pending_.begin();
    remove(easy);
    pending->error = error;
    pending->news.notify();
  }
}

}  // namespace weft::curl
