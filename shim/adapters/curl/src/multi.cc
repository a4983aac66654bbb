// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "shim/adapters/curl/src/multi.h"

#include <chrono>
#include <new>
#include <string>
#include <utility>

#include "weft/fibers/errors.h"
#include "weft/fibers/no_suspend.h"
#include "weft/fibers/task.h"

namespace weft::curl {

namespace {

constexpr std::size_t kIdleHandles = 64;

void init_libcurl_once() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) throw std::runtime_error("libcurl cannot be initialised");
}

template <class T>
T checked(T handle) {
  if (handle == nullptr) throw std::bad_alloc();
  return handle;
}

}  // namespace

void Pending::notify() {
  news_ = true;
  if (auto waiter = std::exchange(waiter_, std::nullopt)) (*waiter)();
}

void Pending::wait() {
  shim::wait_for_callback<void>(
      [this](shim::Completion<void> done) {
        if (news_) {
          done();
        } else {
          waiter_ = std::move(done);
        }
      },
      [this] {
        waiter_.reset();
        return shim::CancelResult::kDone;
      });
  news_ = false;
}

// A stretch of code that is inside libcurl.
class Multi::Section {
 public:
  explicit Section(Multi& multi) : multi_(multi) {
    if (multi.busy_) {
      throw fibers::UsageError(
          "weft::curl was called from inside a callback of libcurl; hand the work to another task, "
          "or "
          "use curl::stream(), whose sink may do anything");
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

Multi::Multi(loop::EventLoop& loop) : loop_(loop) {
  init_libcurl_once();
  multi_ = checked(curl_multi_init());
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Multi::on_socket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Multi::on_timer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
}

Multi::~Multi() {
  close();
}

void Multi::close() {
  if (multi_ == nullptr) return;
  fail_all(std::make_exception_ptr(
      fibers::ClosedResourceError("the loop was closed while the transfer was under way")));
  for (CURL* easy : std::exchange(idle_, {})) curl_easy_cleanup(easy);
  {
    const Section section(*this);
    curl_multi_cleanup(multi_);  // Calls on_socket for the connections it closes.
  }
  multi_ = nullptr;
  stop_timer();
}

void Multi::add(CURL* easy, Pending& pending) {
  if (multi_ == nullptr) throw fibers::ClosedResourceError("the loop has been closed");
  CURLMcode code = CURLM_OK;
  {
    const Section section(*this);
    code = curl_multi_add_handle(multi_, easy);
  }
  if (code != CURLM_OK) {
    throw fibers::UsageError(std::string("libcurl does not take this handle: ") +
                             curl_multi_strerror(code));
  }
  pending_.emplace(easy, &pending);
  if (hook_error_ != nullptr) fail_all(std::exchange(hook_error_, nullptr));
}

void Multi::remove(CURL* easy) noexcept {
  if (pending_.erase(easy) == 0) return;
  const Section section(*this);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_multi_remove_handle(multi_, easy);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 0L);
}

void Multi::resume(CURL* easy) {
  if (!pending_.contains(easy)) return;
  const Section section(*this);
  curl_easy_pause(easy, CURLPAUSE_CONT);
}

CURL* Multi::take_easy() {
  if (idle_.empty()) return checked(curl_easy_init());
  CURL* easy = idle_.back();
  idle_.pop_back();
  return easy;
}

void Multi::give_back(CURL* easy) noexcept {
  if (multi_ == nullptr || idle_.size() >= kIdleHandles) {
    curl_easy_cleanup(easy);
    return;
  }
  curl_easy_reset(easy);
  idle_.push_back(easy);
}

int Multi::on_socket(CURL*, curl_socket_t fd, int what, void* self, void*) noexcept {
  auto& multi = *static_cast<Multi*>(self);
  try {
    multi.watch(fd, what);
    return 0;
  } catch (...) {
    multi.hook_error_ = std::current_exception();
    return -1;
  }
}

int Multi::on_timer(CURLM*, long milliseconds, void* self) noexcept {
  auto& multi = *static_cast<Multi*>(self);
  try {
    multi.arm_timer(milliseconds);
    return 0;
  } catch (...) {
    multi.hook_error_ = std::current_exception();
    return -1;
  }
}

// Takes effect at once. After CURL_POLL_REMOVE libcurl may close the descriptor, or go on with it.
void Multi::watch(curl_socket_t fd, int what) {
  const bool reads = what == CURL_POLL_IN || what == CURL_POLL_INOUT;
  const bool writes = what == CURL_POLL_OUT || what == CURL_POLL_INOUT;
  if (reads) {
    loop_.add_reader(fd, [this, fd] { act(fd, CURL_CSELECT_IN); });
  } else {
    loop_.remove_reader(fd);
  }
  if (writes) {
    loop_.add_writer(fd, [this, fd] { act(fd, CURL_CSELECT_OUT); });
  } else {
    loop_.remove_writer(fd);
  }
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
  {
    const Section section(*this);
    int running = 0;
    curl_multi_socket_action(multi_, fd, events, &running);
  }
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
    remove(easy);
    pending.result = result;
    pending.notify();
  }
}

void Multi::fail_all(const std::exception_ptr& error) {
  while (!pending_.empty()) {
    const auto [easy, pending] = *pending_.begin();
    remove(easy);
    pending->error = error;
    pending->notify();
  }
}

}  // namespace weft::curl
