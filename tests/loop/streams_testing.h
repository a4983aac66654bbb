// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of streams share.

#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "tests/loop/sync_testing.h"
#include "weft/loop/stream_reader.h"

namespace weft::loop::testing {

inline constexpr std::string_view kData = "line1\nline2\nline3\n";

inline std::string_view rest(const StreamReader& reader) {
  return StreamAccess::core(reader)->data();
}

// What `read(reader)` gives, in the given form, while `feed(reader)` runs as a callback after it.
template <class Read, class Feed>
auto read_while(EventLoop& loop, Form form, StreamReader reader, Read read, Feed feed) {
  auto task = start(loop, form, [reader, read]() mutable { return read(reader); });
  loop.call_soon([reader, feed]() mutable { feed(reader); });
  run_iterations(loop, 4);
  return task;
}

// The call throws an E, whose text is returned.
template <class E, class F>
std::string error_of(F&& fn) {
  return thrown<E>([&] { await(fn()); });
}

}  // namespace weft::loop::testing
