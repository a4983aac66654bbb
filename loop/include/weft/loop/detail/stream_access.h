// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Into and out of the handles of streams. Not for use outside weft.

#pragma once

#include <utility>

#include "weft/loop/stream_protocol.h"
#include "weft/loop/stream_reader.h"
#include "weft/loop/stream_writer.h"

namespace weft::loop {

struct StreamAccess {
  static const detail::Ref<detail::StreamReaderCore>& core(const StreamReader& reader) {
    return reader.core();
  }
  static detail::StreamWriterCore& core(const StreamWriter& writer) { return *writer.core(); }
  static StreamWriter wrap(detail::Ref<detail::StreamWriterCore> core) noexcept {
    return StreamWriter(std::move(core));
  }
};

}  // namespace weft::loop
