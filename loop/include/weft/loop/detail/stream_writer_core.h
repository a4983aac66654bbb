// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a StreamWriter is inside. Not for use outside weft.

#pragma once

#include <memory>
#include <string>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/detail/counted.h"
#include "weft/loop/detail/stream_reader_core.h"
#include "weft/loop/detail/writer_side.h"
#include "weft/loop/start_tls.h"
#include "weft/loop/transport.h"

namespace weft::loop::detail {

struct StreamWriterCore final : Counted {
  StreamWriterCore(Transport on, std::shared_ptr<WriterSide> from, Ref<StreamReaderCore> beside)
      : transport(std::move(on)), protocol(std::move(from)), reader(std::move(beside)) {}
  StreamWriterCore(const StreamWriterCore&) = delete;
  StreamWriterCore& operator=(const StreamWriterCore&) = delete;
  // Closes what is open.
  ~StreamWriterCore() override;

  static Coro<void> drain(Ref<StreamWriterCore> core);
  static Coro<void> wait_closed(Ref<StreamWriterCore> core);
  // The hostname is that of the options.
  static Coro<void> start_tls(Ref<StreamWriterCore> core, TransportLayer& layer,
                              StartTLSOptions options, std::string hostname);

  Transport transport;
  std::shared_ptr<WriterSide> protocol;  // The transport's.
  Ref<StreamReaderCore> reader;          // Null if the connection is for writing only.
};

}  // namespace weft::loop::detail
