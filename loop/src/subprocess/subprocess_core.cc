// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/subprocess_core.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <system_error>
#include <utility>

#include "loop/src/pipes/pipe_transport.h"
#include "loop/src/transports/transport_errors.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/detail/outside_work.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/log.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/detail/child_watch.h"
#include "weft/loop/detail/tell.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/subprocess_transport.h"

namespace weft::loop::detail {

using fibers::detail::Child;
using fibers::detail::OutsideWork;
using fibers::detail::Spawned;

// For a child that has been killed. One that cannot be, because it runs as another user, is left.
static constexpr fibers::Duration kTimeToDie = std::chrono::seconds(5);

// What the transport of a pipe of the child tells. The child's transport is there as long as one of
// its pipes is told of anything.
class SubprocessCore::PipeProtocol final : public Protocol {
 public:
  PipeProtocol(SubprocessCore& child, int fd) noexcept : child_(child), fd_(fd) {}

  void data_received(std::string_view data) override {
    if (child_.protocol_ == nullptr) return;
    const ProtocolHolder::Call call(child_.holder_);
    child_.protocol_->pipe_data_received(fd_, data);
  }
  void connection_lost(std::exception_ptr error) override {
    child_.pipe_lost(fd_, std::move(error));
  }
  void pause_writing() override {
    if (child_.protocol_ == nullptr) return;
    const ProtocolHolder::Call call(child_.holder_);
    child_.protocol_->pause_writing();
  }
  void resume_writing() override {
    if (child_.protocol_ == nullptr) return;
    const ProtocolHolder::Call call(child_.holder_);
    child_.protocol_->resume_writing();
  }

 private:
  SubprocessCore& child_;
  const int fd_;
};

SubprocessCore::SubprocessCore(LoopCore& loop, std::shared_ptr<BaseProtocol> protocol)
    : TransportCore(loop),
      making_(*this, OwnedCallback::kTurn<&SubprocessCore::made>),
      losing_(*this, OwnedCallback::kTurn<&SubprocessCore::finish>) {
  set_protocol(std::move(protocol));
}

SubprocessCore::~SubprocessCore() {
  for (PipeTransport* const pipe : pipes_) {
    if (pipe != nullptr) pipe->release();
  }
}

void SubprocessCore::set_protocol(std::shared_ptr<BaseProtocol> protocol) {
  auto* const child = dynamic_cast<SubprocessProtocol*>(protocol.get());
  if (child == nullptr) {
    throw fibers::UsageError("the transport of a child needs a SubprocessProtocol");
  }
  holder_.set(std::move(protocol));
  protocol_ = child;
}

void SubprocessCore::start(Spawned&& spawned, Future<void> made) {
  make_pipes(spawned);
  child_ = std::make_shared<Child>(std::move(spawned));
  try {
    watch_child();
  } catch (...) {
    kill_quietly();
    throw;
  }
  made_ = std::move(made);
  keep_open();
  making_.schedule();
}

void SubprocessCore::make_pipes(Spawned& spawned) {
  for (std::size_t fd = 0; fd < kPipes; ++fd) {
    if (spawned.ours[fd].get() < 0) continue;
    auto protocol = std::make_shared<PipeProtocol>(*this, static_cast<int>(fd));
    if (fd == 0) {
      pipes_[fd] = new WritePipe(loop(), std::move(spawned.ours[fd]), std::move(protocol));
    } else {
      pipes_[fd] = new ReadPipe(loop(), std::move(spawned.ours[fd]), std::move(protocol));
    }
    pipes_[fd]->belong_to_another();
    ++open_pipes_;
  }
}

void SubprocessCore::watch_child() {
  auto watch = std::make_unique<ChildWatch>(loop(), child_);
  const int fd = watch->fd();
  auto told = [this, self = TransportAccess::share<BaseTransport>(*this)](int status) {
    status_ = status;
    if (begun_) exited();
  };
  event_loop().add_reader(fd, CallAtExit<decltype(told)>{std::move(watch), std::move(told)});
}

void SubprocessCore::made() {
  tell_protocol(
      *this, holder_, "protocol.connection_made() failed",
      [this] { protocol_->connection_made(TransportAccess::share<SubprocessTransport>(*this)); },
      [this] {
        if (lost_) return;  // The loop has been closed meanwhile.
        begun_ = true;
        for (PipeTransport* const pipe : pipes_) {
          if (pipe != nullptr) pipe->begin({});
        }
        // Whoever starts a child goes on behind what is scheduled for one that has ended already.
        struct AtEnd {
          SubprocessCore& self;
          ~AtEnd() { wake(self.made_); }
        } const at_end{*this};
        if (status_) exited();
      });
}

void SubprocessCore::exited() {
  // Also if an interrupt goes through here. Without pipes connection_lost() is next, and whoever
  // has waited goes on behind it: then the child is gone.
  struct AtEnd {
    SubprocessCore& self;
    ~AtEnd() {
      self.exit_told_ = true;
      self.try_finish();
      self.wake_waiters();
    }
  } const at_end{*this};
  returncode_ = status_;
  tell_protocol(*this, holder_, "protocol.process_exited() failed",
                [&] { protocol_->process_exited(); });
}

void SubprocessCore::wake_waiters() {
  for (Future<int>& waiter : std::exchange(waiters_, {})) {
    if (!waiter.done()) waiter.set_result(*status_);
  }
}

void SubprocessCore::pipe_lost(int fd, std::exception_ptr error) {
  const BaseTransport kept = TransportAccess::share<BaseTransport>(*this);
  tell_protocol(
      *this, holder_, "protocol.pipe_connection_lost() failed",
      [&] { protocol_->pipe_connection_lost(fd, std::move(error)); },
      [this] {
        --open_pipes_;
        try_finish();
      });
}

void SubprocessCore::try_finish() {
  if (!exit_told_ || open_pipes_ > 0 || finished_) return;
  finished_ = true;
  losing_.schedule();
}

void SubprocessCore::finish() {
  struct AtEnd {
    SubprocessCore& self;
    ~AtEnd() {
      self.lost_ = true;
      self.protocol_ = nullptr;
      self.holder_.drop();
      self.let_go();
    }
  } const at_end{*this};
  tell_protocol(*this, holder_, "protocol.connection_lost() failed",
                [&] { protocol_->connection_lost(nullptr); });
}

void SubprocessCore::close() {
  if (closed_) return;
  closed_ = true;
  for (PipeTransport* const pipe : pipes_) {
    if (pipe != nullptr) pipe->close();
  }
  kill_quietly();
}

void SubprocessCore::kill_quietly() noexcept {
  try {
    if (child_ != nullptr && !returncode_) static_cast<void>(child_->send_signal(SIGKILL));
  } catch (...) {
    fibers::detail::log_quietly(fibers::LogLevel::kWarning,
                                [] { return "a child could not be killed"; });
  }
}

void SubprocessCore::wind_up(WindUp stage) {
  if (stage != WindUp::kTransports) return;
  close();
  const bool dies = child_ != nullptr && child_->send_signal(SIGKILL) == 0;
  event_loop().call_soon([ended = wait(), dies] {
    // A clock that jumps waits for what is on its way.
    const fibers::detail::OutsideWorkCounted dying(OutsideWork::kThread, dies ? 1 : 0);
    fibers::CancelScope scope(
        {.deadline = fibers::later(fibers::current_time(), kTimeToDie), .shield = true});
    scope.run([&] { loop::wait(ended); });
  });
}

void SubprocessCore::loop_closed() noexcept {
  closed_ = true;
  finished_ = true;
  lost_ = true;
  for (PipeTransport* const pipe : pipes_) {
    if (pipe != nullptr) pipe->force_close(nullptr);
  }
  kill_quietly();
  protocol_ = nullptr;
  holder_.drop();
  waiters_.clear();
  made_ = {};
}

int SubprocessCore::pid() const {
  return child_ == nullptr ? -1 : child_->pid();
}

PipeTransport* SubprocessCore::pipe(int fd) const {
  return fd < 0 || static_cast<std::size_t>(fd) >= kPipes ? nullptr
                                                          : pipes_[static_cast<std::size_t>(fd)];
}

void SubprocessCore::send_signal(int signal) {
  if (lost_) throw ProcessLookupError();
  if (const int error = child_->send_signal(signal); error != 0) {
    throw std::system_error(
        error, std::generic_category(),
        "signal " + std::to_string(signal) + " to the child " + std::to_string(pid()));
  }
}

Future<int> SubprocessCore::wait() {
  Future<int> ended = event_loop().create_future<int>();
  if (returncode_) {
    ended.set_result(*returncode_);
  } else {
    std::erase_if(waiters_, [](const Future<int>& waiter) { return waiter.done(); });
    waiters_.push_back(ended);
  }
  return ended;
}

}  // namespace weft::loop::detail

namespace weft::loop {

// NOLINTNEXTLINE(performance-unnecessary-value-param): protocols keep it.
void SubprocessProtocol::connection_made(SubprocessTransport) {}

ProcessLookupError::ProcessLookupError()
    : std::system_error(ESRCH, std::generic_category(), "the child has ended") {}

Transport SubprocessTransport::get_pipe_transport(int fd) const {
  detail::PipeTransport* const pipe = subprocess().pipe(fd);
  return pipe == nullptr ? Transport() : TransportAccess::share<Transport>(*pipe);
}
void SubprocessTransport::terminate() {
  send_signal(SIGTERM);
}
void SubprocessTransport::kill() {
  send_signal(SIGKILL);
}

}  // namespace weft::loop
