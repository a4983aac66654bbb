// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A generator: a function that produces items one by one while another consumes them, each written
// as if it were alone.
//
//   as_safe_channel<Row>(
//       [&](SafeSendChannel<Row>& out) {
//         Cursor cursor = connection.query("select ...");      // closed whatever happens
//         while (cursor.step()) out.send(cursor.row());
//       },
//       [&](SafeReceiveChannel<Row>& rows) {
//         for (Row& row : rows) {
//           if (is_wanted(row)) return row;                    // the producer is cancelled
//         }
//       });
//
// The producer is a task in a nursery of its own, and may itself open nurseries and scopes around
// send(). (Trio: as_safe_channel, the decorator of async generators.)

#pragma once

#include <exception>
#include <functional>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/channel.h"
#include "weft/fibers/detail/item_iterator.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/memory_channel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/parking_lot.h"

namespace weft::fibers {

namespace detail {
template <class T>
struct SafeChannel;
}

// The producer's end. A resource: neither copied nor moved.
template <class T>
class SafeSendChannel {
 public:
  explicit SafeSendChannel(detail::SafeChannel<T>& shared) : shared_(shared) {}
  SafeSendChannel(const SafeSendChannel&) = delete;
  SafeSendChannel& operator=(const SafeSendChannel&) = delete;
  ~SafeSendChannel() = default;

  // Hands `item` over, and returns when somebody wants another: the producer is never ahead.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: at once; also when the receiving end has been closed, and when the body has ended.
  // Threads: the run's own only.
  void send(T item);

 private:
  detail::SafeChannel<T>& shared_;
};

// The body's end. Several tasks may receive by it. A resource: neither copied nor moved.
template <class T>
class SafeReceiveChannel final : public ReceiveChannel<T> {
 public:
  using Iterator = detail::ItemIterator<T, SafeReceiveChannel>;

  explicit SafeReceiveChannel(detail::SafeChannel<T>& shared) : shared_(shared) {}
  SafeReceiveChannel(const SafeReceiveChannel&) = delete;
  SafeReceiveChannel& operator=(const SafeReceiveChannel&) = delete;
  ~SafeReceiveChannel() override = default;

  // Lets the producer run until it sends an item. Throws EndOfChannel when it has returned,
  // ClosedResourceError after close().
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; an item that was under way goes to the next receive().
  // Threads: the run's own only.
  T receive() override;
  // receive(), with nothing in place of EndOfChannel.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: as receive().
  // Threads: the run's own only.
  std::optional<T> next() override;
  // No more items are wanted: tasks that wait for one get ClosedResourceError, and the producer is
  // cancelled where it sends the next. Idempotent.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void close();
  // The same, then a checkpoint.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: after closing.
  // Threads: the run's own only.
  void aclose() override {
    close();
    checkpoint();
  }

  // `for (T& item : channel)`: each step is a next().
  //
  // Blocks: yes, each step is a checkpoint.
  // Cancel: as receive().
  // Threads: the run's own only.
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  detail::SafeChannel<T>& shared_;
};

// Runs `body(SafeReceiveChannel<T>&)`, and beside it `producer(SafeSendChannel<T>&)`, which begins
// when the first item is wanted. Returns what the body returns; the producer, if it has not
// returned, is cancelled then. An error of one cancels the other and comes out as it is; if both
// fail, both errors come in one ExceptionGroup.
//
// Blocks: yes, always a schedule point.
// Cancel: cancels both, and waits.
// Threads: the run's own only.
template <class T, class Producer, class Body>
auto as_safe_channel(Producer&& producer, Body&& body)
    -> std::invoke_result_t<Body, SafeReceiveChannel<T>&>;

}  // namespace weft::fibers

#include "weft/fibers/detail/as_safe_channel_inl.h"  // IWYU pragma: export
