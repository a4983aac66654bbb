// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A look-up is a call of fibers, made in a function of the loop that has a stack. Beside an
// executor's thread this has the run's own resolver and its limit of threads, ends at once when it
// is cancelled, and stops clocks that jump while a thread is at work.

#include "weft/loop/loop_resolver.h"

#include <optional>

#include "weft/loop/event_loop.h"

namespace weft::loop {

namespace {

// No factory of the user's makes these tasks; their first step is taken at once.
template <class Fn>
auto look_up_in_task(detail::LoopCore& core, Fn fn) {
  using T = std::invoke_result_t<Fn&>;
  const TaskOptions options{.name = "resolver", .eager_start = true};
  return TaskAccess::launch_own<T>(
      detail::make_task<detail::FiberTask<T, Fn>>(core, std::source_location::current(),
                                                  std::move(fn), options),
      options);
}

}  // namespace

using fibers::SocketAddress;
using fibers::socket::AddressHints;

Coro<LoopResolver::AddressInfos> LoopResolver::getaddrinfo(std::string_view host,
                                                           std::string_view service,
                                                           const AddressHints& hints) {
  return look_up(std::string(host), std::string(service), hints);
}

Coro<LoopResolver::AddressInfos> LoopResolver::getaddrinfo(std::string_view host,
                                                           std::uint16_t port,
                                                           const AddressHints& hints) {
  return look_up(std::string(host), std::to_string(port), hints);
}

Coro<LoopResolver::AddressInfos> LoopResolver::look_up(std::string host, std::string service,
                                                       AddressHints hints) {
  if (std::optional<AddressInfos> found =
          fibers::socket::getaddrinfo_nowait(host, service, hints)) {
    co_return std::move(*found);
  }
  Task<AddressInfos> looking =
      look_up_in_task(*core_, [host = std::move(host), service = std::move(service), hints] {
        return fibers::socket::getaddrinfo(host, service, hints);
      });
  co_return co_await std::move(looking);
}

Coro<std::pair<std::string, std::string>> LoopResolver::getnameinfo(SocketAddress address,
                                                                    int flags) {
  Task<std::pair<std::string, std::string>> looking = look_up_in_task(
      *core_, [address, flags] { return fibers::socket::getnameinfo(address, flags); });
  co_return co_await std::move(looking);
}

}  // namespace weft::loop
