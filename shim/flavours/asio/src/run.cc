// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/asio/run.h"

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cstdint>
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
    TickHere* const handler = TickHere::innermost;
    if (handler != nullptr && !expects_more()) {
      handler->guest = this;
    } else {
      counted_from_ = TickHere::ended;
      ::boost::asio::post(context_, [guest = shared_from_this()] {
        guest->crowd_ = TickHere::ended - guest->counted_from_;
        guest->tick_posted();
      });
    }
    next_ = std::move(tick);
  }
  void tick_posted() {
    const auto keep = shared_from_this();
    const Ended ended{*this};
    const fibers::GuestTick tick = *std::exchange(next_, std::nullopt);
    tick();
  }
  void watch(fibers::GuestRun run) {
    run_.emplace(std::move(run));
    descriptor_.assign(run_->pollable_fd());
    flavour_ = shim::detail::set_foreign_flavour("asio");
    entered_ = true;
    wait();
  }
  void leave() noexcept {
    this_context = nullptr;
    shim::detail::set_foreign_flavour(flavour_);
    entered_ = false;
  }

 private:
  // Whether the operations of several tasks seem to end in each turn of the context's: then their
  // handlers are called one after the other, and one tick runs all the tasks. The
  // code and the data of both sides then stay in the caches. Looks again now and then.
  bool expects_more() {
    constexpr std::uint32_t kFewest = 4;
    constexpr std::uint32_t kLookAfter = 32;
    if (crowd_ >= kFewest) return true;
    if (++alone_ < kLookAfter) return false;
    alone_ = 0;
    return true;
  }

  // What Asio calls.
  struct Tick {
    using allocator_type = StorageAllocator<void>;
    std::shared_ptr<Guest> guest;
    allocator_type get_allocator() const noexcept { return allocator_type(&guest->storage_); }
    void operator()(const ::boost::system::error_code& error) const {
      if (!error) guest->tick();
    }
  };

  // Whatever a tick throws.
  struct Ended {
    Guest& guest;
    ~Ended() {
      if (guest.run_ && guest.run_->done()) guest.finish();
    }
  };

  // Asio's epoll tells of edges, but looks anew whenever a wait begins.
  void wait() {
    descriptor_.async_wait(::boost::asio::posix::descriptor_base::wait_read,
                           Tick{shared_from_this()});
  }
  void tick() {
    if (!run_) return;  // A tick that was posted has ended it.
    if (run_->tick()) return wait();
    finish();
  }
  void finish() noexcept {
    release();
    run_.reset();
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
  std::uint32_t counted_from_ = 0;  // TickHere::ended when a tick was posted.
  std::uint32_t crowd_ = 0;         // How many had ended when that one was made.
  std::uint32_t alone_ = 0;         // Ticks in handlers since one was posted to look.
  bool entered_ = false;
};

std::shared_ptr<Guest> make_guest(IoContext& context) {
  return std::make_shared<Guest>(context);
}

void post(Guest& guest, fibers::GuestTick tick) {
  guest.post(std::move(tick));
}

void TickHere::tick() const {
  guest->tick_posted();
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
