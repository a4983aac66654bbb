// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Two streams of one direction each as one of both.
//
//   StapledStream stdio(std::move(process_stdin), std::move(process_stdout));   // owns both
//   StapledStream stdio(process_stdin, process_stdout);                         // refers to both

#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weft/fibers/async_resource.h"
#include "weft/fibers/conflict_detector.h"
#include "weft/fibers/stream.h"

namespace weft::fibers {

namespace detail {
template <class Stream>
concept ClosesNow = requires(std::remove_reference_t<Stream>& stream) {
  stream.close();
};
}  // namespace detail

// Every call goes to one of the two. What is given as an lvalue is referred to and has to
// outlive this; anything else is moved in. A resource that can be moved if both can. (Trio:
// StapledStream.)
template <class Send, class Receive>
requires std::derived_from<std::remove_reference_t<Send>, SendStream> &&
    std::derived_from<std::remove_reference_t<Receive>, ReceiveStream>
class StapledStream final : public HalfCloseableStream {
 public:
  StapledStream(Send send, Receive receive)
      : send_stream(std::forward<Send>(send)), receive_stream(std::forward<Receive>(receive)) {}

  // Blocks: yes, always a checkpoint.
  // Cancel: an unknown part has been sent; the stream is then only good for closing.
  // Threads: the run's own only.
  void send_all(std::span<const std::byte> data) override {
    const ConflictDetector::Use use(sending_);
    send_stream.send_all(data);
  }
  void send_all(std::string_view data) { send_all(std::as_bytes(std::span(data))); }
  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has happened.
  // Threads: the run's own only.
  void wait_send_all_might_not_block() override {
    const ConflictDetector::Use use(sending_);
    send_stream.wait_send_all_might_not_block();
  }
  // The sending stream's own send_eof() if it has one; otherwise closes it.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: the peer may or may not have been told.
  // Threads: the run's own only.
  void send_eof() override {
    const ConflictDetector::Use use(sending_);
    if constexpr (requires { send_stream.send_eof(); }) {
      send_stream.send_eof();
    } else {
      send_stream.aclose();
    }
  }

  // Blocks: yes, always a checkpoint.
  // Cancel: nothing has been received.
  // Threads: the run's own only.
  std::size_t receive_some(std::span<std::byte> buffer) override {
    return receive_stream.receive_some(buffer);
  }
  std::string receive_some(std::size_t max) override { return receive_stream.receive_some(max); }
  std::string receive_some() { return receive_stream.receive_some(); }

  // Closes the sending stream, and then, even if that threw, the receiving one. If both throw, the
  // latter's error leaves, unless it says Cancelled.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: closes both at once, without manners.
  // Threads: the run's own only.
  void aclose() override {
    try {
      send_stream.aclose();
    } catch (...) {
      // Two errors cannot both leave; the second is the news.
      detail::aclose_after_error(receive_stream);
      throw;
    }
    receive_stream.aclose();
  }

  // Closes both streams without waiting, if both of them can. Idempotent as theirs is.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  void close() requires detail::ClosesNow<Send> && detail::ClosesNow<Receive> {
    send_stream.close();
    receive_stream.close();
  }

  Send send_stream;
  Receive receive_stream;

 private:
  // Closing would pull the stream away from under a task that sends.
  ConflictDetector sending_{
      "another task is sending on this stream already; let one task do it, or use a Lock"};
};

template <class Send, class Receive>
StapledStream(Send&&, Receive&&) -> StapledStream<Send, Receive>;

}  // namespace weft::fibers
