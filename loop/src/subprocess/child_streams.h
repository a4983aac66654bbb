// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Between the transport of a child and the streams of a Process.

#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "weft/loop/detail/writer_side.h"
#include "weft/loop/protocol.h"
#include "weft/loop/stream_reader.h"
#include "weft/loop/subprocess.h"
#include "weft/loop/subprocess_transport.h"

namespace weft::loop::detail {

// Feeds the readers, and closes the transport when the child has ended and both have seen their
// ends. (asyncio.subprocess.SubprocessStreamProtocol.)
class ChildStreams final : public SubprocessProtocol, public WriterSide {
 public:
  // The readers are made here, where a lack of memory can still be thrown. `options` says which
  // streams are pipes.
  ChildStreams(EventLoop& loop, const SubprocessOptions& options, std::size_t limit);

  // Empty if the stream is no pipe.
  const std::optional<StreamReader>& out() const { return out_; }
  const std::optional<StreamReader>& err() const { return err_; }

  void connection_made(SubprocessTransport made) override;
  void pipe_data_received(int fd, std::string_view data) override;
  void pipe_connection_lost(int fd, std::exception_ptr error) override;
  void process_exited() override;
  void connection_lost(std::exception_ptr error) override;
  void pause_writing() override { flow().pause_writing(); }
  void resume_writing() override { flow().resume_writing(); }

 private:
  std::optional<StreamReader>& reader(int fd) { return fd == 1 ? out_ : err_; }
  void close_if_over();

  std::optional<StreamReader> out_;
  std::optional<StreamReader> err_;
  SubprocessTransport transport_;  // Until it has been closed here.
  int open_outputs_ = 0;
};

}  // namespace weft::loop::detail

namespace weft::loop {

// For who starts children in another way.
struct ProcessAccess {
  static Process make(SubprocessTransport transport,
                      const std::shared_ptr<detail::ChildStreams>& streams) {
    return {std::move(transport), streams};
  }
};

}  // namespace weft::loop
