// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "fibers/core/check.h"
#include "fibers/core/found_events.h"
#include "fibers/core/io_manager.h"
#include "fibers/core/scheduler.h"
#include "fibers/core/text.h"
#include "fibers/sys/sys.h"

namespace weft::fibers::detail {

namespace {

// Beyond those of descriptors, as the wake-up's is.
constexpr std::uint64_t kAlarmKey = Wakeup::kKey - 1;
constexpr std::array<std::uint32_t, 2> kEvents{EPOLLIN | EPOLLRDHUP, EPOLLOUT};
// An error or a hang-up concerns both directions: the next call will say what it is.
constexpr std::array<std::uint32_t, 2> kWakes{EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLERR | EPOLLHUP,
                                              EPOLLOUT | EPOLLERR | EPOLLHUP};
// After these a read has something to say that no further event announces: the end, an error, or
// what lies behind TCP's urgent data, before which a read stops short.
constexpr std::uint32_t kEnds = EPOLLRDHUP | EPOLLPRI | EPOLLERR | EPOLLHUP;
constexpr std::uint32_t kOwned = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
constexpr std::array<const char*, 2> kWaitNames{"readable fd", "writable fd"};

std::size_t index_of(FdDirection direction) {
  return static_cast<std::size_t>(direction);
}

[[noreturn, gnu::cold]] void throw_errno(int error, const char* what, int fd) {
  throw_system_error(error, concat({what, " fd ", fd}).c_str());
}

[[noreturn, gnu::cold]] void throw_busy(int fd) {
  throw BusyResourceError(
      concat({"another task or watch is already waiting for this direction of fd ", fd}));
}

std::uint64_t key_of(const FdEntry& entry) {
  return std::uint64_t{entry.generation} << 32 | static_cast<std::uint32_t>(entry.fd);
}

}  // namespace

[[gnu::cold]] IoManager::IoManager(Wakeup& wakeup) : wakeup_(wakeup) {
  if (set_.control(EPOLL_CTL_ADD, wakeup.fd(), EPOLLIN | EPOLLET, Wakeup::kKey) != 0)
    throw_errno(errno, "epoll_ctl", wakeup.fd());
  wakeup_.attach(set_.fd());
}

// Watches and OwnedFds may outlive the run: they are no longer armed.
[[gnu::cold]] void IoManager::close() noexcept {
  if (!set_.is_open()) return;
  for (auto& entry : entries_) {
    if (entry == nullptr) continue;
    entry->manager = nullptr;
    for (FdWatch* watch : entry->watch) {
      if (watch != nullptr) FdWatchAccess::forget(*watch);
    }
    if (entry->owned) static_cast<void>(entry.release());  // release() deletes it.
  }
  entries_.clear();
  wakeup_.attach(-1);
  set_.close();
}

// Fetching the entries and tasks of later events ahead gained nothing that could be measured.
std::size_t IoManager::deliver(const FoundEvents& found) {
  if (found.count < 0) {
    // After a signal somebody may have left something in a queue.
    if (found.error == EINTR) return 1;
    throw_system_error(found.error, "epoll_wait");
  }
  ++deliveries_;
  int alarms = 0;
  bool spins = false;
  for (int i = 0; i < found.count; ++i) {
    const epoll_event& event = found.events[static_cast<std::size_t>(i)];
    if (event.data.u64 >= kAlarmKey) {
      if (event.data.u64 == kAlarmKey) ++alarms;
      continue;
    }
    FdEntry& entry = *entries_[static_cast<std::uint32_t>(event.data.u64)];
    if (entry.generation == event.data.u64 >> 32) {
      deliver(entry, event.events);
    } else if (keeps_coming(entry)) {
      spins = true;
    }
  }
  if (spins) leave_stale_registrations();
  return static_cast<std::size_t>(found.count - alarms);
}

// Counts an event of an older generation. Some are harmless: the event may have been found before
// that generation was given up, or be the only one of a registration for one event. If more come,
// there is a registration that nobody can delete any more, and the run would spin.
[[gnu::cold]] bool IoManager::keeps_coming(FdEntry& entry) const {
  constexpr std::uint32_t kHarmless = 2;
  return deliveries_ - entry.retired >= 2 && ++entry.stale > kHarmless;
}

// If the system refuses, the old set stays, and the next stale event comes here again.
[[gnu::cold]] void IoManager::leave_stale_registrations() noexcept {
  try {
    EpollSet fresh;
    if (fresh.control(EPOLL_CTL_ADD, wakeup_.fd(), EPOLLIN | EPOLLET, Wakeup::kKey) != 0) return;
    if (alarm_fd_ >= 0 &&
        fresh.control(EPOLL_CTL_ADD, alarm_fd_, EPOLLIN | EPOLLET, kAlarmKey) != 0) {
      return;
    }
    for (const auto& entry : entries_) {
      if (entry != nullptr && !register_in(fresh, *entry)) return;
    }
    if (!set_.swap_with(fresh)) return;
    wakeup_.attach(set_.fd());
    for (const auto& entry : entries_) {
      if (entry == nullptr) continue;
      entry->stale = 0;
      if (!entry->owned && entry->armed == 0) entry->registered = false;
    }
  } catch (const std::system_error&) {
  }
}

// False if the system refuses. That a number is not, or no longer, what is registered is no
// refusal: the old set knows the difference, and what it does not have is left behind.
bool IoManager::register_in(EpollSet& set, const FdEntry& entry) noexcept {
  const std::uint32_t events = entry.owned ? kOwned : entry.armed;
  if (!entry.registered || events == 0) return true;
  if (set_.control(EPOLL_CTL_MOD, entry.fd, events, key_of(entry)) != 0)
    return errno == ENOENT || errno == EBADF;
  return set.control(EPOLL_CTL_ADD, entry.fd, events, key_of(entry)) == 0;
}

void IoManager::add_alarm(int fd) {
  if (set_.control(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, kAlarmKey) != 0)
    throw_errno(errno, "epoll_ctl", fd);
  alarm_fd_ = fd;
}

IoStatistics IoManager::statistics() const {
  std::array<std::size_t, 2> waiting{};
  for (const auto& entry : entries_) {
    if (entry == nullptr) continue;
    for (std::size_t d = 0; d < waiting.size(); ++d) {
      if (entry->waiting[d] != nullptr || entry->watch[d] != nullptr) ++waiting[d];
    }
  }
  return {waiting[index_of(FdDirection::kRead)], waiting[index_of(FdDirection::kWrite)]};
}

void IoManager::deliver(FdEntry& entry, std::uint32_t events) {
  // A foreign descriptor without a watch is armed for one event: epoll has just disarmed it.
  const bool one_shot = !entry.owned && (entry.armed & EPOLLONESHOT) != 0;
  if (one_shot) entry.armed = 0;
  if ((events & kWakes[0]) != 0) entry.drained = false;
  if ((events & kEnds) != 0) entry.ended = true;
  if (entry.either != nullptr) {
    *std::exchange(entry.either, nullptr) = {(events & kWakes[0]) != 0, (events & kWakes[1]) != 0};
    entry.waiting[1] = nullptr;
    --watched_;
    wake(entry, 0);
    return;  // Nobody else waits, and epoll has disarmed the descriptor.
  }
  bool woken = false;
  for (std::size_t d = 0; d < 2; ++d) {
    if ((events & kWakes[d]) == 0) continue;
    if (entry.watch[d] != nullptr) FdWatchAccess::deliver(*entry.watch[d]);
    if (entry.waiting[d] != nullptr) {
      wake(entry, d);
      woken = true;
    }
  }
  if (entry.owned) return;
  const bool others_wait = entry.waiting[0] != nullptr || entry.waiting[1] != nullptr;
  if (one_shot ? others_wait : woken) update_quietly(entry);
}

// For places that cannot throw. If the descriptor is gone, its waiters are told so; what a copy of
// it still reports is for nobody.
void IoManager::update_quietly(FdEntry& entry) noexcept {
  try {
    update(entry);
  } catch (const std::system_error&) {
    retire(entry);
    close_waiters(entry);
  }
}

void IoManager::retire(FdEntry& entry) {
  ++entry.generation;
  entry.retired = deliveries_;
  entry.registered = false;
  entry.armed = 0;
}

void IoManager::wake(FdEntry& entry, std::size_t direction) {
  --watched_;
  TaskBlock* task = std::exchange(entry.waiting[direction], nullptr);
  task->scheduler->wake(*task);
}

FdEntry& IoManager::entry_for(int fd) {
  if (fd < 0) throw_errno(EBADF, "waiting for", fd);
  const auto index = static_cast<std::size_t>(fd);
  if (index >= entries_.size()) {
    // What is no descriptor, an uninitialised number say, must not make a table of gigabytes.
    if (sys::fcntl(fd, F_GETFD, 0) < 0) throw_errno(errno, "waiting for", fd);
    entries_.resize(std::max(index + 1, entries_.size() * 2));
  }
  if (entries_[index] == nullptr) {
    entries_[index] = std::make_unique<FdEntry>();
    entries_[index]->manager = this;
    entries_[index]->fd = fd;
  }
  return *entries_[index];
}

void IoManager::control(FdEntry& entry, int operation, std::uint32_t events) {
  if (set_.control(operation, entry.fd, events, key_of(entry)) == 0) return;
  const int error = errno;
  if (operation == EPOLL_CTL_MOD && error == ENOENT) {  // Closed and reopened behind our back.
    retire(entry);
    control(entry, EPOLL_CTL_ADD, events);
  } else if (operation == EPOLL_CTL_ADD && error == EEXIST) {
    control(entry, EPOLL_CTL_MOD, events);
  } else if (operation != EPOLL_CTL_DEL) {  // Gone already is as good as deleted.
    throw_errno(error, "epoll_ctl", entry.fd);
  }
}

void IoManager::update(FdEntry& entry) {
  std::uint32_t wanted = 0;
  for (std::size_t d = 0; d < 2; ++d) {
    if (entry.waiting[d] != nullptr || entry.watch[d] != nullptr) wanted |= kEvents[d];
  }
  if (wanted == 0) {
    if (entry.registered && entry.armed != 0) {
      control(entry, EPOLL_CTL_DEL, 0);
      retire(entry);
    }
    return;
  }
  if (entry.watch[0] == nullptr && entry.watch[1] == nullptr) wanted |= EPOLLONESHOT;
  if (!entry.registered) retire(entry);
  control(entry, entry.registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, wanted);
  entry.registered = true;
  entry.armed = wanted;
}

// Suspends the running task as the waiter of `entry`, which has been armed.
void IoManager::park(FdEntry& entry, FdDirection direction) {
  const std::size_t d = index_of(direction);
  wait_task_rescheduled(
      [this, &entry, d](const RaiseCancel&) {
        entry.waiting[d] = nullptr;
        --watched_;
        if (!entry.owned) update_quietly(entry);
        return Abort::kSucceeded;
      },
      {kWaitNames[d], entry.fd, &entry});
}

void IoManager::require_free(const FdEntry& entry, std::size_t direction) const {
  if (entry.waiting[direction] != nullptr || entry.watch[direction] != nullptr || entry.owned) {
    throw_busy(entry.fd);
  }
}

// Cancelled comes before what is wrong with a wait.
template <class Begin>
static FdEntry& begin_or_cancelled(Begin&& begin) {
  try {
    return begin();
  } catch (...) {
    checkpoint_if_cancelled();
    throw;
  }
}

void IoManager::wait(int fd, FdDirection direction) {
  const std::size_t d = index_of(direction);
  FdEntry& entry = begin_or_cancelled([&]() -> FdEntry& {
    FdEntry& wanted = entry_for(fd);
    require_free(wanted, d);
    wanted.waiting[d] = &block_of(current_task());
    try {
      update(wanted);
    } catch (...) {
      wanted.waiting[d] = nullptr;
      throw;
    }
    return wanted;
  });
  ++watched_;
  park(entry, direction);
}

FdReadiness IoManager::wait_either(int fd) {
  FdReadiness found;
  const auto stop = [](FdEntry& entry) {
    entry.waiting[0] = entry.waiting[1] = nullptr;
    entry.either = nullptr;
  };
  FdEntry& entry = begin_or_cancelled([&]() -> FdEntry& {
    FdEntry& wanted = entry_for(fd);
    for (std::size_t d = 0; d < 2; ++d) require_free(wanted, d);
    wanted.waiting[0] = wanted.waiting[1] = &block_of(current_task());
    wanted.either = &found;
    try {
      update(wanted);
    } catch (...) {
      stop(wanted);
      throw;
    }
    return wanted;
  });
  watched_ += 2;
  wait_task_rescheduled(
      [this, &entry, &stop](const RaiseCancel&) {
        stop(entry);
        watched_ -= 2;
        update_quietly(entry);
        return Abort::kSucceeded;
      },
      {"readable or writable fd", entry.fd, &entry});
  return found;
}

void IoManager::add_watch(int fd, FdDirection direction, FdWatch* watch) {
  FdEntry& entry = entry_for(fd);
  const std::size_t d = index_of(direction);
  require_free(entry, d);
  entry.watch[d] = watch;
  try {
    update(entry);
  } catch (...) {
    entry.watch[d] = nullptr;
    throw;
  }
  ++watched_;
}

void IoManager::remove_watch(int fd, FdDirection direction) noexcept {
  FdEntry& entry = *entries_[static_cast<std::size_t>(fd)];
  entry.watch[index_of(direction)] = nullptr;
  --watched_;
  if (!entry.owned) update_quietly(entry);
}

// Without memory for it, the std::bad_alloc.
static std::exception_ptr closed_error() noexcept {
  try {
    return std::make_exception_ptr(ClosedResourceError("the descriptor was closed"));
  } catch (...) {
    return std::current_exception();
  }
}

void IoManager::close_waiters(FdEntry& entry) {
  if (std::exchange(entry.either, nullptr) != nullptr) {
    entry.waiting[1] = nullptr;
    --watched_;
  }
  for (TaskBlock*& waiting : entry.waiting) {
    if (waiting == nullptr) continue;
    --watched_;
    TaskBlock* task = std::exchange(waiting, nullptr);
    reschedule(*task, closed_error());
  }
}

void IoManager::notify_closing(int fd) {
  FdEntry& entry = entry_for(fd);
  WEFT_REQUIRE(!entry.owned, "this descriptor belongs to an OwnedFd; close that");
  close_waiters(entry);
  update_quietly(entry);
}

FdEntry* IoManager::adopt(int fd) {
  FdEntry& entry = entry_for(fd);
  WEFT_REQUIRE(!entry.owned, "this descriptor already belongs to an OwnedFd");
  retire(entry);
  control(entry, EPOLL_CTL_ADD, kOwned);
  entry.owned = true;
  entry.registered = true;
  entry.drained = false;
  entry.ended = false;
  return &entry;
}

static void require_same_run(bool same) {
  WEFT_REQUIRE(same,
               "an OwnedFd belongs to the run that made it; in another one, release() the "
               "descriptor and make a new OwnedFd of it");
}

void IoManager::add_owned_watch(FdEntry& entry, FdDirection direction, FdWatch* watch) {
  require_same_run(entry.manager == this);
  const std::size_t d = index_of(direction);
  if (entry.waiting[d] != nullptr || entry.watch[d] != nullptr) throw_busy(entry.fd);
  entry.watch[d] = watch;
  ++watched_;
}

void IoManager::wait_owned(FdEntry& entry, FdDirection direction) {
  const std::size_t d = index_of(direction);
  const bool busy = entry.waiting[d] != nullptr || entry.watch[d] != nullptr;
  if (entry.manager != this || busy) [[unlikely]]
    checkpoint_if_cancelled();
  require_same_run(entry.manager == this);
  if (busy) throw_busy(entry.fd);
  entry.waiting[d] = &block_of(current_task());
  ++watched_;
  park(entry, direction);
}

void IoManager::release(FdEntry& entry) {
  if (entry.manager == nullptr) {  // Nobody waits, and the number may be somebody else's by now.
    delete &entry;
    return;
  }
  IoManager& manager = *entry.manager;
  manager.close_waiters(entry);
  for (FdWatch*& watch : entry.watch) {
    if (watch == nullptr) continue;
    FdWatchAccess::forget(*std::exchange(watch, nullptr));
    --manager.watched_;
  }
  manager.control(entry, EPOLL_CTL_DEL, 0);
  manager.retire(entry);
  entry.owned = false;
}

}  // namespace weft::fibers::detail
