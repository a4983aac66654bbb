// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What all streams of bytes have in common, for functions that take any of them:
//
//   void greet(Stream& stream) {
//     stream.send_all("hello\n");
//     const std::string answer = stream.receive_some();   // empty: the peer has finished
//     ...
//
// The classes of weft are final: who calls one by its own name pays for no virtual call. Write
// streams of your own by deriving from these, and have the conformance kit test them
// (testing/check_streams.h). (Trio: abc.SendStream, ReceiveStream, Stream, HalfCloseableStream.)

#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "weft/fibers/async_resource.h"

namespace weft::fibers {

// The sending side. One task at a time: BusyResourceError for a second one. What the peer or the
// network breaks is BrokenResourceError; after closing it here everything but closing again is
// ClosedResourceError.
class SendStream : public virtual AsyncResource {
 public:
  // Sends everything; of nothing, too, it is a checkpoint.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: an unknown part has been sent; the stream is then only good for closing.
  // Threads: the run's own only.
  virtual void send_all(std::span<const std::byte> data) = 0;
  void send_all(std::string_view data) { send_all(std::as_bytes(std::span(data))); }

  // Waits until send_all() of a little would probably not wait, or until it would fail: it may
  // return too early, never too late. For data that should be as fresh as possible when it is sent.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has happened.
  // Threads: the run's own only.
  virtual void wait_send_all_might_not_block() = 0;
};

// The receiving side. One task at a time: BusyResourceError for a second one. What the peer or the
// network breaks is BrokenResourceError; after closing it here, ClosedResourceError.
class ReceiveStream : public virtual AsyncResource {
 public:
  static constexpr std::size_t kDefaultReceive = 65536;

  // Waits until there is something and returns as much of it as fits; 0 bytes are the end, for
  // good. Throws UsageError for no room.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been received.
  // Threads: the run's own only.
  virtual std::size_t receive_some(std::span<std::byte> buffer) = 0;
  // The same, as a string of at most `max` bytes, and of 64 KiB at most; empty at the end.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been received.
  // Threads: the run's own only.
  virtual std::string receive_some(std::size_t max);
  std::string receive_some() { return receive_some(kDefaultReceive); }
};

// Both. One task may send while another receives.
class Stream : public SendStream, public ReceiveStream {};

// A stream whose sending side can be closed alone.
class HalfCloseableStream : public Stream {
 public:
  // Tells the peer that no more will come. Receiving goes on; sending is ClosedResourceError from
  // now on. Idempotent. Counts as sending: BusyResourceError while another task does.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: the peer may or may not have been told.
  // Threads: the run's own only.
  virtual void send_eof() = 0;
};

}  // namespace weft::fibers
