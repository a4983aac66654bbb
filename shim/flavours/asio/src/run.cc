// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/asio/run.h"

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <exception>

#include "shim/flavours/asio/src/two_loops.h"
#include "weft/asio/detail/fiber_wait.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/shim/detail/foreign_flavour.h"

namespace weft::asio {

namespace detail {

// Of this thread's run.
static constinit thread_local IoContext* this_context = nullptr;

IoContext* set_current_context(IoContext* context) noexcept {
  return std::exchange(this_context, context);
}

class Guest : public std::enable_shared_from_this<Guest> {
 public:
  explicit Guest(IoContext& context) : context_(context), descriptor_(context) {}
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;
  ~Guest() {
    if (entered_) leave();  // It was abandoned.
    release();
  }

  void enter() { this_context = &context_; }
  // A tick of the run's, for what happens to it in this context. Descriptors and deadlines bring
  // theirs by wait().
  void post(fibers::GuestTick tick) {
    ::boost::asio::post(context_, [guest = shared_from_this()] {
      const fibers::GuestTick next = *std::exchange(guest->next_, std::nullopt);
      next();
    });
    next_ = std::move(tick);
  }
  void watch(fibers::GuestRun run) {
    run_.emplace(std::move(run));
    descriptor_.assign(run_->pollable_fd());
    flavour_ = shim::detail::set_foreign_flavour("asio");
    entered_ = true;
    wait();
  }
  // The run is over.
  void leave() noexcept {
    this_context = nullptr;
    shim::detail::set_foreign_flavour(flavour_);
    entered_ = false;
    release();
    run_.reset();
  }

 private:
  // What Asio calls.
  struct Tick {
    using allocator_type = StorageAllocator<void>;
    std::shared_ptr<Guest> guest;
    allocator_type get_allocator() const noexcept { return allocator_type(&guest->storage_); }
    void operator()(const ::boost::system::error_code& error) const {
      if (!error) guest->tick();
    }
  };

  // Asio's epoll tells of edges, but looks anew whenever a wait begins.
  void wait() {
    descriptor_.async_wait(::boost::asio::posix::descriptor_base::wait_read,
                           Tick{shared_from_this()});
  }
  void tick() {
    if (run_ && run_->tick()) wait();
  }
  // The descriptor is the run's to close.
  void release() noexcept {
    try {
      if (descriptor_.is_open()) descriptor_.release();
    } catch (const std::exception&) {
      // It is not open, then.
    }
  }

  IoContext& context_;
  Storage storage_;
  std::optional<fibers::GuestRun> run_;
  std::optional<fibers::GuestTick> next_;  // One is on its way at most.
  ::boost::asio::posix::basic_stream_descriptor<IoContext::executor_type> descriptor_;
  const char* flavour_ = nullptr;
  bool entered_ = false;
};

std::shared_ptr<Guest> make_guest(IoContext& context) {
  return std::make_shared<Guest>(context);
}

void post(Guest& guest, fibers::GuestTick tick) {
  guest.post(std::move(tick));
}

void enter(Guest& guest) {
  guest.enter();
}

void watch(Guest& guest, fibers::GuestRun run) {
  guest.watch(std::move(run));
}

void leave(Guest& guest) noexcept {
  guest.leave();
}

void run(IoContext& context, const std::function<void()>& main, const fibers::RunOptions& options) {
  const auto guest = make_guest(context);
  fibers::CancelScope scope;
  std::optional<fibers::Outcome<void>> outcome;
  watch(*guest, fibers::start_guest_run(
                    [&] {
                      guest->enter();
                      scope.run(main);
                    },
                    {.done_callback =
                         [&](fibers::Outcome<void> ended) {
                           guest->leave();
                           outcome.emplace(std::move(ended));
                           context.stop();
                         },
                     .run_sync_soon_not_threadsafe =
                         [&](fibers::GuestTick tick) { guest->post(std::move(tick)); },
                     .run = options}));
  std::exception_ptr failure;
  // Not one handler at a time: what a context keeps of the memory of its handlers ends with a call.
  while (!outcome) {
    if (context.stopped()) context.restart();
    try {
      context.run();
    } catch (...) {
      if (failure == nullptr) failure = std::current_exception();
      scope.cancel("a handler in the io_context has failed");
    }
  }
  context.restart();
  if (failure == nullptr) return outcome->unwrap();
  if (outcome->error() != nullptr) throw_both(std::move(failure), outcome->error());
  std::rethrow_exception(std::move(failure));
}

}  // namespace detail

IoContext& current_context() {
  if (detail::this_context != nullptr) return *detail::this_context;
  throw fibers::UsageError("this run is not a guest of an io_context; start it by weft::asio::run");
}

}  // namespace weft::asio
