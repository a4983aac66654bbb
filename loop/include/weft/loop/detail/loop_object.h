// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What transports and servers are to the loop: objects that live by a count, and that schedule
// callbacks of their own without memory. Not for use outside weft.

#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <source_location>
#include <span>

#include "weft/fibers/run_ref.h"
#include "weft/loop/detail/handle_node.h"

namespace weft::loop {
class BaseProtocol;
class EventLoop;
struct ExceptionContext;
}  // namespace weft::loop

namespace weft::loop::detail {

class TransportCore;

// What the loop's owner does away with while the loop still runs, in this order.
enum class WindUp : std::uint8_t { kServers, kTransports };

// Begins with one reference, its maker's. Keeps the loop's core alive.
class LoopObject {
 public:
  explicit LoopObject(LoopCore& loop) noexcept;
  LoopObject(const LoopObject&) = delete;
  LoopObject& operator=(const LoopObject&) = delete;

  void retain() noexcept { ++refs_; }
  void release() noexcept {
    if (--refs_ == 0) delete this;
  }
  LoopCore& loop() const { return loop_; }
  EventLoop& event_loop() const;  // Throws UsageError if it is gone.
  // Another object answers for this one, which the program does not hold: a connection below TLS,
  // say. It is not reported as unclosed.
  void belong_to_another() noexcept { belongs_to_another_ = true; }
  // The loop was closed before this.
  bool was_left_open() const { return was_left_open_; }
  // In debug mode the exception handler was told of that.
  bool reported_open() const { return reported_open_; }

 protected:
  virtual ~LoopObject();

  // From the first to the second the loop holds a reference. Each harmless when repeated.
  void keep_open() noexcept;
  void let_go() noexcept;
  // The loop is being closed, and has let go: no callback comes any more. Whatever belongs to the
  // system is to be given back.
  virtual void loop_closed() noexcept {}
  // Whether something is lost if the loop is closed now: the program has not closed it.
  virtual bool unclosed() const noexcept { return false; }
  // Tells the exception handler so. May throw std::bad_alloc: then nobody is told.
  virtual void report_unclosed() {}
  // The loop will be closed soon: what belongs to `stage` closes.
  virtual void wind_up(WindUp /*stage*/) {}

 private:
  friend class OpenObjects;
  LoopCore& loop_;
  std::uint32_t refs_ = 1;
  bool belongs_to_another_ = false;
  bool was_left_open_ = false;
  bool reported_open_ = false;
  LoopObject* next_ = nullptr;  // Of those that the loop holds,
  LoopObject** at_ = nullptr;   // and where the pointer to this one lies; null outside.
};

// Those that a loop holds. A part of the core.
class OpenObjects {
 public:
  void add(LoopObject& object) noexcept;
  static void remove(LoopObject& object) noexcept;
  bool empty() const { return first_ == nullptr; }
  // Marks each one that the program has not closed; `tell`: and has it reported. Before the loop is
  // closed.
  void find_unclosed(bool tell) noexcept;
  void close_all() noexcept;
  // Tells each of them. Throws what the last of those that fail throws.
  void wind_up(WindUp stage);

 private:
  // `fn` may change the list.
  template <class F>
  void for_each(F&& fn);

  LoopObject* first_ = nullptr;
};

// A callback that lies in its owner, which schedules it any number of times. While it is queued or
// runs it holds the owner. Runs with the context variables of whoever has made it.
class OwnedCallback : public HandleNode {
 public:
  OwnedCallback(LoopObject& owner, const NodeOps& turn,
                std::source_location where = std::source_location::current()) noexcept
      : HandleNode(owner.loop(), where) {
    refs = 0;
    kind = NodeKind::kOwned;
    ops = &turn;
    owned = {.owner = &owner, .again = false};
  }
  OwnedCallback(const OwnedCallback&) = delete;
  OwnedCallback& operator=(const OwnedCallback&) = delete;
  ~OwnedCallback() {
    if (context != nullptr) fibers::detail::release_locals(context);
  }

  // A turn in the next iteration, once, however often this is called before that; if it is running
  // or blocked, another one after that. Not once the loop is closed. Also on the scheduler's own
  // stack.
  void schedule() noexcept;

  // OwnedCallback reading_{*this, OwnedCallback::kTurn<&SocketTransport::read_ready>};
  template <auto kMethod>
  static const NodeOps kTurn;
};

namespace owned_callback {
template <class Owner>
void call(HandleNode& node, void (Owner::*method)()) {
  (static_cast<Owner&>(*node.owned.owner).*method)();
}
// Nobody holds the callback any more: its owner goes, perhaps.
void let_go(HandleNode& node) noexcept;
}  // namespace owned_callback

template <auto kMethod>
inline constexpr NodeOps OwnedCallback::kTurn{
    [](HandleNode& node) { owned_callback::call(node, kMethod); }, &owned_callback::let_go,
    nullptr};

// --- What the loop has for transports. ---

// Throws UsageError if it is gone.
EventLoop& facade_of(const LoopCore& loop);
// The loop's run: what is called from outside, while that is suspended, has to go through it.
const fibers::RunRef& run_of(const LoopCore& loop);

// A buffer of 256 KiB to read into, for as long as what has been read is used. The loop has one
// that goes from one to the next; a callback that waits keeps its own.
inline constexpr std::size_t kReadBufferSize = std::size_t{256} << 10;
class ReadBuffer {
 public:
  // Throws std::bad_alloc.
  explicit ReadBuffer(LoopCore& loop);
  ReadBuffer(const ReadBuffer&) = delete;
  ReadBuffer& operator=(const ReadBuffer&) = delete;
  ~ReadBuffer();
  char* data() const { return data_; }

 private:
  LoopCore& loop_;
  char* const data_;
};

// `fd` is a transport's from now on: add_reader(), add_writer() and what waits by them refuse it.
// Throws UsageError if it is another's, or somebody watches it by add_reader() or add_writer().
void claim_descriptor(LoopCore& loop, int fd, const TransportCore& transport);
void disclaim_descriptor(LoopCore& loop, int fd) noexcept;

// Tells the exception handler. What that throws ends the loop after this iteration.
struct TransportReport {
  const char* message;
  std::exception_ptr exception = nullptr;
  const TransportCore* transport = nullptr;
  const BaseProtocol* protocol = nullptr;
  const void* server = nullptr;
  int socket = -1;
};
void report(LoopCore& loop, const TransportReport& report) noexcept;

}  // namespace weft::loop::detail
