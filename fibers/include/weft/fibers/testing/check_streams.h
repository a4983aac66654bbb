// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Checks that a stream keeps the promises of its base classes (stream.h). For every stream that you
// write, with or without GoogleTest:
//
//   FIBER_TEST(MyStreamTest, IsAStream) {
//     check_two_way_stream([] { return my_stream_pair(); },           // connected
//                          [] { return my_clogged_stream_pair(); });  // first has no room
//   }
//
// A maker returns a pair of streams, or of unique_ptrs to streams. It is called again for each
// rule, and may wait. What is sent into the first stream has to come out of the second. On streams
// of the clogged maker, send_all() and wait_send_all_might_not_block() have to wait until the
// second stream receives; without that maker those rules are left out. The first broken rule is
// thrown as an AssertionError (see checkpoints.h) that names the rule and says what happened. If a
// stream gets stuck, the AssertionError holds the run's DeadlockError where the clock jumps, as in
// a FIBER_TEST; elsewhere it comes after 30 seconds. (Trio: testing.check_one_way_stream,
// check_two_way_stream, check_half_closeable_stream.)

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "weft/fibers/stream.h"
#include "weft/fibers/testing/checkpoints.h"

namespace weft::fibers::testing {

namespace detail {
template <class First, class Second>
using StreamMaker = std::function<std::pair<std::unique_ptr<First>, std::unique_ptr<Second>>()>;
using OneWayMaker = StreamMaker<SendStream, ReceiveStream>;
using TwoWayMaker = StreamMaker<Stream, Stream>;
using HalfCloseableMaker = StreamMaker<HalfCloseableStream, HalfCloseableStream>;

void check_one_way(const OneWayMaker& maker, const OneWayMaker& clogged_maker);
void check_two_way(const TwoWayMaker& maker, const TwoWayMaker& clogged_maker);
void check_half_closeable(const HalfCloseableMaker& maker, const HalfCloseableMaker& clogged_maker);

// `made`, a stream or a unique_ptr to one, as a unique_ptr to its base class.
template <class Base, class T>
std::unique_ptr<Base> own(T&& made) {
  if constexpr (std::is_convertible_v<T, std::unique_ptr<Base>>) {
    return std::forward<T>(made);
  } else {
    return std::make_unique<std::remove_cvref_t<T>>(std::forward<T>(made));
  }
}
template <class First, class Second, class Maker>
StreamMaker<First, Second> stream_maker(Maker&& maker) {
  if constexpr (std::is_null_pointer_v<std::remove_cvref_t<Maker>>) {
    return nullptr;
  } else {
    return [maker = std::forward<Maker>(maker)]() mutable {
      auto made = maker();
      return std::pair(own<First>(std::move(made.first)), own<Second>(std::move(made.second)));
    };
  }
}
}  // namespace detail

// Checks a SendStream and a ReceiveStream.
//
// Blocks: yes, always a checkpoint.
// Cancel: the streams are closed.
// Threads: the run's own only.
template <class Maker, class CloggedMaker = std::nullptr_t>
void check_one_way_stream(Maker&& maker, CloggedMaker&& clogged_maker = nullptr) {
  using detail::stream_maker;
  detail::check_one_way(
      stream_maker<SendStream, ReceiveStream>(std::forward<Maker>(maker)),
      stream_maker<SendStream, ReceiveStream>(std::forward<CloggedMaker>(clogged_maker)));
}

// Checks two Streams: all rules of check_one_way_stream in both directions, and some more. The
// clogged maker's streams have to be clogged in both directions.
//
// Blocks: yes, always a checkpoint.
// Cancel: the streams are closed.
// Threads: the run's own only.
template <class Maker, class CloggedMaker = std::nullptr_t>
void check_two_way_stream(Maker&& maker, CloggedMaker&& clogged_maker = nullptr) {
  using detail::stream_maker;
  detail::check_two_way(stream_maker<Stream, Stream>(std::forward<Maker>(maker)),
                        stream_maker<Stream, Stream>(std::forward<CloggedMaker>(clogged_maker)));
}

// Checks two HalfCloseableStreams: all rules of check_two_way_stream, and those of send_eof().
//
// Blocks: yes, always a checkpoint.
// Cancel: the streams are closed.
// Threads: the run's own only.
template <class Maker, class CloggedMaker = std::nullptr_t>
void check_half_closeable_stream(Maker&& maker, CloggedMaker&& clogged_maker = nullptr) {
  using detail::stream_maker;
  using Half = HalfCloseableStream;
  detail::check_half_closeable(stream_maker<Half, Half>(std::forward<Maker>(maker)),
                               stream_maker<Half, Half>(std::forward<CloggedMaker>(clogged_maker)));
}

}  // namespace weft::fibers::testing
