// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/asio/share_thread.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>

#include "shim/flavours/asio/src/two_loops.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/shared_wait.h"
#include "weft/shim/detail/foreign_flavour.h"

namespace weft::asio::detail {

namespace {

// A run's waits, in a context.
class Sharing final : public fibers::SharedWait {
 public:
  explicit Sharing(IoContext& context)
      : context_(context),
        descriptor_(context, pollable_fd()),
        context_before_(set_current_context(&context)),
        flavour_before_(shim::detail::set_foreign_flavour("asio")) {}
  ~Sharing() override {
    shim::detail::set_foreign_flavour(flavour_before_);
    set_current_context(context_before_);
    descriptor_.release();  // The run's to close.
  }

  fibers::CancelScope& scope() { return scope_; }
  // What a handler has thrown.
  std::exception_ptr failure() const { return failure_; }

 private:
  // A wait for the run's descriptor. Its end may come when this is gone.
  struct Wait {
    Storage storage;
    bool pending = false;
  };
  // What Asio calls then.
  struct Readable {
    using allocator_type = StorageAllocator<void>;
    std::shared_ptr<Wait> wait;
    allocator_type get_allocator() const noexcept { return allocator_type(&wait->storage); }
    void operator()(const ::boost::system::error_code&) const { wait->pending = false; }
  };

  // The last of what is ready now. Others that become ready meanwhile are behind it.
  struct Last {
    using allocator_type = StorageAllocator<void>;
    Sharing* sharing;
    allocator_type get_allocator() const noexcept {
      return allocator_type(&sharing->last_storage_);
    }
    void operator()() const {
      sharing->last_called_ = true;
      sharing->context_.stop();
    }
  };

  Turn poll() noexcept override { return {call_ready(), !wait_->pending}; }
  Turn wait() noexcept override {
    if (!wait_->pending) {
      wait_->pending = true;
      descriptor_.async_wait(::boost::asio::posix::descriptor_base::wait_read, Readable{wait_});
    }
    std::size_t done = turn([this] { return context_.run_one(); });
    if (expects_more()) {
      const std::size_t more = call_ready();
      alone_ = more > 0 ? kLookAfter : 0;
      done += more;
    }
    return {done, !wait_->pending};
  }
  // Whether several handlers seem to be ready at a time: then all of them are called before the
  // tasks that they make ready. If there are none, it costs a look at Asio's epoll. Looks anew now
  // and then.
  bool expects_more() noexcept { return ++alone_ >= kLookAfter; }
  // A bounded number: handlers that make others ready for ever must not keep the run from its
  // tasks.
  std::size_t call_ready() noexcept {
    last_called_ = false;
    ::boost::asio::post(context_, Last{this});
    std::size_t done = 0;
    while (!last_called_) done += turn([this] { return context_.poll(); });
    context_.restart();
    return done > 0 ? done - 1 : 0;
  }
  // How many handlers were called.
  template <class F>
  std::size_t turn(const F& some) noexcept {
    if (context_.stopped()) context_.restart();
    try {
      return some();
    } catch (...) {
      if (failure_ == nullptr) failure_ = std::current_exception();
      scope_.cancel("a handler in the io_context has failed");
      return 1;
    }
  }

  static constexpr std::uint32_t kLookAfter = 32;

  IoContext& context_;
  const std::shared_ptr<Wait> wait_ = std::make_shared<Wait>();
  ::boost::asio::executor_work_guard<IoContext::executor_type> work_{context_.get_executor()};
  ::boost::asio::posix::basic_stream_descriptor<IoContext::executor_type> descriptor_;
  IoContext* context_before_;
  const char* flavour_before_;
  Storage last_storage_;
  bool last_called_ = false;
  std::uint32_t alone_ = 0;  // Waits since the last look for more.
  fibers::CancelScope scope_;
  std::exception_ptr failure_;
};

}  // namespace

void share_thread(IoContext& context, const std::function<void()>& body) {
  std::exception_ptr failure;
  std::exception_ptr error;
  {
    Sharing sharing(context);
    try {
      sharing.scope().run(body);
    } catch (...) {
      error = std::current_exception();
    }
    failure = sharing.failure();
  }
  if (failure == nullptr) {
    if (error != nullptr) std::rethrow_exception(std::move(error));
    return;
  }
  if (error != nullptr) throw_both(std::move(failure), std::move(error));
  std::rethrow_exception(std::move(failure));
}

}  // namespace weft::asio::detail
