// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/loop_transports.h"

#include <sys/socket.h>

#include <cerrno>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "fibers/sys/sys.h"
#include "loop/src/transports/establish.h"
#include "loop/src/transports/race.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {

using fibers::SocketAddress;
namespace sys = fibers::sys;

namespace detail {

namespace {

// Aborts the connection unless all went well: the caller is cancelled, or the handshake fails.
class Guarded {
 public:
  explicit Guarded(Transport transport) : transport_(std::move(transport)) {}
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() {
    if (transport_) transport_.close();
  }
  Transport take() { return std::exchange(transport_, {}); }

 private:
  Transport transport_;
};

int open_socket(int family, int proto) {
  const int fd = sys::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, proto);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "socket");
  return fd;
}

using Errors = std::vector<std::exception_ptr>;

// Binds to the first of `locals` that fits. Those before it are in `errors` then. (asyncio:
// _connect_sock.)
void bind_to_local(int fd, int family, const AddressInfos& locals, Errors& errors) {
  std::exception_ptr last;
  for (const auto& local : locals) {
    if (local.family != family) continue;
    const SocketAddress& address = local.address;
    if (last != nullptr) errors.push_back(std::exchange(last, nullptr));
    if (sys::bind(fd, address.data(), static_cast<socklen_t>(address.size())) == 0) return;
    const std::error_code code(errno, std::generic_category());
    last = std::make_exception_ptr(std::system_error(
        code, "error while attempting to bind on address " + address.to_string()));
  }
  if (last != nullptr) std::rethrow_exception(last);
  throw std::system_error(EADDRNOTAVAIL, std::generic_category(),
                          "no matching local address for the family of the remote one");
}

// With copies: one that loses a race ends later than whoever has asked for it.
Coro<UniqueFd> attempt(LoopCore& loop, fibers::socket::AddressInfo target, AddressInfos locals,
                       std::shared_ptr<Errors> errors) {
  UniqueFd fd(open_socket(target.family, target.proto));
  if (!locals.empty()) bind_to_local(fd.get(), target.family, locals, *errors);
  co_await facade_of(loop).sock_connect(fd.get(), target.address);
  co_return fd;
}

// The errors of the attempts, as one. (asyncio: the end of create_connection.)
[[noreturn]] void throw_failed(Errors errors, bool all_errors) {
  if (all_errors) {
    throw fibers::ExceptionGroup("create_connection failed", std::move(errors));
  }
  if (errors.size() == 1) std::rethrow_exception(errors.front());
  std::vector<std::string> texts;
  std::error_code first;
  for (const std::exception_ptr& error : errors) {
    try {
      std::rethrow_exception(error);
    } catch (const std::system_error& each) {
      if (texts.empty()) first = each.code();
      texts.emplace_back(each.what());
    } catch (const std::exception& each) {
      texts.emplace_back(each.what());
    }
  }
  bool same = true;
  std::string together;
  for (const std::string& text : texts) {
    same = same && text == texts.front();
    together += (together.empty() ? "" : ", ") + text;
  }
  if (same) std::rethrow_exception(errors.front());
  throw std::system_error(first, "Multiple exceptions: " + together);
}

Coro<AddressInfos> look_up(LoopCore& loop, const std::string& host, std::uint16_t port,
                           const ConnectRequest& request) {
  const fibers::socket::AddressHints hints{.family = request.family,
                                           .type = SOCK_STREAM,
                                           .proto = request.proto,
                                           .flags = request.flags};
  AddressInfos infos = co_await facade_of(loop).getaddrinfo(host, port, hints);
  if (infos.empty()) {
    throw std::system_error(EADDRNOTAVAIL, std::generic_category(),
                            "getaddrinfo() returned empty list");
  }
  co_return infos;
}

Coro<UniqueFd> connect_by_name(LoopCore& loop, const ConnectRequest& request) {
  AddressInfos infos = co_await look_up(loop, request.host, request.port, request);
  AddressInfos locals;
  if (!request.local_host.empty() || request.local_port != 0) {
    locals = co_await look_up(loop, request.local_host, request.local_port, request);
  }
  const int first_count = request.interleave.value_or(request.happy_eyeballs_delay ? 1 : 0);
  if (first_count > 0) infos = interleave(std::move(infos), first_count);
  const auto errors = std::make_shared<Errors>();
  UniqueFd won;
  if (request.happy_eyeballs_delay) {
    std::vector<RaceEntry> entries;
    for (const auto& info : infos) {
      entries.emplace_back([&, &info = info] { return attempt(loop, info, locals, errors); });
    }
    won = co_await race(loop, std::move(entries), *request.happy_eyeballs_delay, *errors);
  } else {
    for (std::size_t i = 0; i < infos.size() && !won; ++i) {
      try {
        won = co_await attempt(loop, infos[i], locals, errors);
      } catch (const std::system_error&) {
        errors->push_back(std::current_exception());
      }
    }
  }
  if (!won) throw_failed(std::move(*errors), request.all_errors);
  co_return won;
}

Coro<UniqueFd> connect_to_path(LoopCore& loop, const ConnectRequest& request) {
  const SocketAddress address = SocketAddress::from_path(request.path);
  UniqueFd fd(open_socket(AF_UNIX, 0));
  co_await facade_of(loop).sock_connect(fd.get(), address);
  co_return fd;
}

}  // namespace

GivenFd::~GivenFd() {
  if (fd_ >= 0) sys::close(fd_);
}

Coro<Connected> connect(LoopCore& loop, std::unique_ptr<ConnectRequest> request) {
  UniqueFd fd(request->fd.release());
  require_layer_options(request->layer);
  if (fd) {
    take_stream_socket(fd.get(), request->unix_only);
  } else if (!request->path.empty()) {
    fd = co_await connect_to_path(loop, *request);
  } else {
    if (request->host.empty() && request->port == 0) {
      throw fibers::UsageError("host and port was not specified and no sock specified");
    }
    if (request->layer.ssl != nullptr && request->layer.server_hostname.empty()) {
      request->layer.server_hostname = request->host;
    }
    fd = co_await connect_by_name(loop, *request);
  }
  std::shared_ptr<BaseProtocol> protocol = request->factory();
  const Future<void> waiter = facade_of(loop).create_future<void>();
  SocketGiven given{.fd = std::move(fd), .protocol = protocol, .waiter = waiter};
  Guarded made(establish(loop, std::move(given), request->layer, request->server_side));
  co_await waiter;
  co_return Connected{.transport = made.take(), .protocol = std::move(protocol)};
}

}  // namespace detail

std::unique_ptr<detail::ConnectRequest> LoopTransports::connect_request(
    detail::ProtocolFactory factory, const ConnectionOptions& options) {
  auto request = std::make_unique<detail::ConnectRequest>();
  request->factory = std::move(factory);
  request->family = options.family;
  request->proto = options.proto;
  request->flags = options.flags;
  request->local_host = options.local_host;
  request->local_port = options.local_port;
  request->happy_eyeballs_delay = options.happy_eyeballs_delay;
  request->interleave = options.interleave;
  request->all_errors = options.all_errors;
  request->layer.ssl = options.ssl;
  request->layer.server_hostname = options.server_hostname;
  request->layer.handshake_timeout = options.ssl_handshake_timeout;
  request->layer.shutdown_timeout = options.ssl_shutdown_timeout;
  return request;
}

}  // namespace weft::loop
