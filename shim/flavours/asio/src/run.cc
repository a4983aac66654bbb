// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/asio/run.h"

#include <array>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cstddef>
#include <exception>
#include <new>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/shim/detail/foreign_flavour.h"

namespace weft::asio {

namespace detail {

namespace {

// Of this thread's run.
constinit thread_local IoContext* this_context = nullptr;

// For the one operation that waits for the guest's descriptor: it can always be started again.
struct Storage {
  alignas(std::max_align_t) std::array<std::byte, 256> bytes;
};
template <class T>
struct StorageAllocator {
  using value_type = T;
  Storage* storage;

  explicit StorageAllocator(Storage* s) : storage(s) {}
  template <class U>
  // NOLINTNEXTLINE(google-explicit-constructor): as allocators are.
  StorageAllocator(const StorageAllocator<U>& other) : storage(other.storage) {}
  T* allocate(std::size_t count) {
    if (sizeof(T) * count > sizeof(Storage)) throw std::bad_alloc();
    return reinterpret_cast<T*>(storage->bytes.data());
  }
  void deallocate(T*, std::size_t) noexcept {}
  template <class U>
  bool operator==(const StorageAllocator<U>& other) const {
    return storage == other.storage;
  }
};

}  // namespace

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
    if (run_->tick()) return wait();
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
  ::boost::asio::posix::basic_stream_descriptor<IoContext::executor_type> descriptor_;
  const char* flavour_ = nullptr;
  bool entered_ = false;
};

std::shared_ptr<Guest> make_guest(IoContext& context) {
  return std::make_shared<Guest>(context);
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

namespace {

// What two sides have thrown.
[[noreturn]] void throw_both(std::exception_ptr one, std::exception_ptr other) {
  std::vector<std::exception_ptr> both;
  both.push_back(std::move(one));
  both.push_back(std::move(other));
  std::rethrow_exception(fibers::make_exception_group(
      "a handler in the io_context has failed, and what ran in it", std::move(both)));
}

}  // namespace

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
                         },
                     .run = options}));
  std::exception_ptr failure;
  while (!outcome) {
    if (context.stopped()) context.restart();
    try {
      context.run_one();
    } catch (...) {
      if (failure == nullptr) failure = std::current_exception();
      scope.cancel("a handler in the io_context has failed");
    }
  }
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
