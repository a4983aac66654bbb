// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Who waits for which descriptor. One epoll set a run.
//
// The system keeps a registration until the last copy of the descriptor is closed, and lets nobody
// delete it once the number that it was made with is gone. So the owner of a descriptor may close
// it, while a copy (a dup, a child's) keeps the registration, and epoll goes on reporting it. Each
// registration carries a generation, by which such events are recognised and dropped; if they keep
// coming, the manager moves everything else into a new epoll set.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "fibers/core/epoll_set.h"
#include "fibers/core/task.h"
#include "fibers/core/wakeup.h"
#include "weft/fibers/fd_watch.h"
#include "weft/fibers/io.h"
#include "weft/fibers/run.h"

namespace weft::fibers {

struct FdWatchAccess {
  static void deliver(const FdWatch& watch) { watch.on_ready_(watch.context_); }
  static void forget(FdWatch& watch) { watch.fd_ = -1; }
};

namespace detail {

class IoManager;
struct FoundEvents;

// One descriptor number. Entries live as long as the run, so that pointers to them stay good; that
// of an OwnedFd which outlives the run is the OwnedFd's from then on.
struct FdEntry {
  IoManager* manager = nullptr;  // Null once the run is over.
  int fd = -1;
  // Told to epoll with each registration. An event that carries an older one was meant for a
  // descriptor that is gone, even if its number is back.
  std::uint32_t generation = 0;
  // When the generation before was given up: in which deliver(), by its number.
  std::uint32_t retired = 0;
  // Events of older generations that came later than that, since the epoll set was made.
  std::uint32_t stale = 0;
  std::uint32_t armed = 0;  // The events epoll has been told and not yet fired once for.
  bool registered = false;  // As far as we know: the owner may have closed it behind our back.
  bool owned = false;       // By an OwnedFd: edge-triggered, both directions, for good.
  bool drained = false;     // Owned: nothing to read since the last event, as its user knows.
  bool ended = false;       // Owned: a read may stop short of the end, of an error, of urgent data.
  TaskBlock* waiting[2] = {nullptr, nullptr};  // By FdDirection.
  FdReadiness* either = nullptr;  // One task is waiting for both, and is to be told here.
  FdWatch* watch[2] = {nullptr, nullptr};
};

class IoManager {
 public:
  // Throws std::system_error.
  explicit IoManager(Wakeup& wakeup);
  IoManager(const IoManager&) = delete;
  IoManager& operator=(const IoManager&) = delete;
  ~IoManager() { close(); }
  // Lets go of all descriptors. Nobody may wait for one any more.
  void close() noexcept;

  // What to wait on for events. A guest's helper thread may do it while the run does not.
  EpollSet& set() { return set_; }
  // Wakes who waits for what has been found. Returns how many events there were, the wake-up
  // included. found_events.h says what may lie between the two.
  std::size_t deliver(const FoundEvents& found);
  // For a host to wait for: readable while set().wait() would find something. Throws
  // std::system_error.
  int fd_for_host() { return set_.for_host(); }
  // A descriptor that only makes that one readable: it is not counted as an event.
  void add_alarm(int fd);
  // False as long as there has been none but the run's own: then a look finds nothing.
  bool has_descriptors() const { return !entries_.empty() || alarm_fd_ >= 0; }
  // Whether anybody waits for a descriptor.
  std::size_t watched() const { return watched_; }

  // Looks at every descriptor there has been: for reports.
  IoStatistics statistics() const;

  // Foreign descriptors. The running task waits.
  void wait(int fd, FdDirection direction);
  FdReadiness wait_either(int fd);
  void add_watch(int fd, FdDirection direction, FdWatch* watch);
  void remove_watch(int fd, FdDirection direction) noexcept;
  void notify_closing(int fd);

  // Owned descriptors, which may be those of another run, or of one that is over.
  FdEntry* adopt(int fd);
  void wait_owned(FdEntry& entry, FdDirection direction);
  void add_owned_watch(FdEntry& entry, FdDirection direction, FdWatch* watch);
  // Wakes its waiters with ClosedResourceError and forgets it; before close(). Deletes the
  // registration, which a copy of the descriptor would keep alive.
  static void release(FdEntry& entry);

 private:
  FdEntry& entry_for(int fd);
  void require_free(const FdEntry& entry, std::size_t direction) const;
  void park(FdEntry& entry, FdDirection direction);
  // Tells epoll what `entry` is waited for now. Throws std::system_error.
  void update(FdEntry& entry);
  void update_quietly(FdEntry& entry) noexcept;
  void control(FdEntry& entry, int operation, std::uint32_t events);
  void retire(FdEntry& entry);
  void deliver(FdEntry& entry, std::uint32_t events);
  bool keeps_coming(FdEntry& entry) const;
  void leave_stale_registrations() noexcept;
  bool register_in(EpollSet& set, const FdEntry& entry) noexcept;
  void wake(FdEntry& entry, std::size_t direction);
  void close_waiters(FdEntry& entry);

  Wakeup& wakeup_;
  EpollSet set_;
  int alarm_fd_ = -1;
  std::uint32_t deliveries_ = 0;
  std::size_t watched_ = 0;
  std::vector<std::unique_ptr<FdEntry>> entries_;  // By number.
};

}  // namespace detail
}  // namespace weft::fibers
