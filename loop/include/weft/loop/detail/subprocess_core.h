// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What is behind a SubprocessTransport. Not for use outside weft.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "weft/fibers/detail/child.h"
#include "weft/loop/detail/protocol_holder.h"
#include "weft/loop/detail/transport_core.h"
#include "weft/loop/future.h"

namespace weft::loop {
class SubprocessProtocol;
}

namespace weft::loop::detail {

class PipeTransport;

// connection_made(); then pipe_data_received(), pipe_connection_lost() of each pipe and
// process_exited() as they come; connection_lost() after all of those have returned. The child is
// watched, and its pipes are read, from the time that connection_made() has returned.
// (asyncio: BaseSubprocessTransport.)
class SubprocessCore final : public TransportCore {
 public:
  // Throws UsageError unless the protocol is a SubprocessProtocol.
  SubprocessCore(LoopCore& loop, std::shared_ptr<BaseProtocol> protocol);

  // `made` ends after connection_made(). Kills the child if this throws.
  void start(fibers::detail::Spawned&& spawned, Future<void> made);

  const char* kind() const noexcept override { return "SubprocessTransport"; }
  // Closes the pipes, and kills the child if it has not ended.
  void close() override;
  bool is_closing() const override { return closed_; }
  void force_close(std::exception_ptr) override { close(); }
  void set_protocol(std::shared_ptr<BaseProtocol> protocol) override;
  std::shared_ptr<BaseProtocol> protocol() const override { return holder_.shared(); }

  int pid() const;
  std::optional<int> returncode() const { return returncode_; }
  // Null if there is none.
  PipeTransport* pipe(int fd) const;
  // Throws ProcessLookupError after connection_lost(), std::system_error if it is not allowed.
  void send_signal(int signal);
  // Ends with the return code when the child has ended.
  Future<int> wait();

 private:
  class PipeProtocol;
  static constexpr std::size_t kPipes = 3;

  ~SubprocessCore() override;
  bool is_known() const noexcept override { return begun_; }
  std::string about() const override { return " pid=" + std::to_string(pid()); }
  void loop_closed() noexcept override;
  // The loop goes on until the protocol has heard of the child's end.
  void wind_up(WindUp stage) override;
  void make_pipes(fibers::detail::Spawned& spawned);
  void made();
  void watch_child();
  void exited();
  void wake_waiters();
  void pipe_lost(int fd, std::exception_ptr error);
  void try_finish();
  void finish();
  void kill_quietly() noexcept;

  ProtocolHolder holder_;
  SubprocessProtocol* protocol_ = nullptr;  // Null once holder_ is empty.
  std::shared_ptr<fibers::detail::Child> child_;
  std::array<PipeTransport*, kPipes> pipes_{};  // Each holds a reference.
  std::size_t open_pipes_ = 0;                  // Whose pipe_connection_lost() has not returned.
  std::vector<Future<int>> waiters_;
  Future<void> made_;
  std::optional<int> status_;      // How it has ended,
  std::optional<int> returncode_;  // and as soon as that may be told.
  bool begun_ = false;             // connection_made() has returned.
  bool exit_told_ = false;         // process_exited() has returned.
  bool closed_ = false;
  bool finished_ = false;
  bool lost_ = false;  // connection_lost() has returned.
  OwnedCallback making_;
  OwnedCallback losing_;
};

}  // namespace weft::loop::detail
