// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <system_error>

#include "fibers/src/net/waiting_call.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/socket/socket_type.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {

namespace {

using detail::throw_errno;

// An unsuccessful attempt should not keep the next from trying another protocol: so the second
// place goes to the first address of another family. (RFC 6555, 5.4.)
void put_other_family_second(std::vector<SocketAddress>& targets) {
  if (targets.empty()) return;
  const auto other = std::find_if(targets.begin(), targets.end(), [&](const SocketAddress& target) {
    return target.family() != targets.front().family();
  });
  if (other != targets.end()) std::rotate(targets.begin() + 1, other, other + 1);
}

class Race {
 public:
  Race(const detail::Connect& connect, Duration delay) : connect_(connect), delay_(delay) {}

  void run(const std::vector<SocketAddress>& targets) {
    open_nursery([&](Nursery& nursery) {
      for (const SocketAddress& target : targets) {
        Event& failed = failed_.emplace_back();
        nursery.start_soon([this, &target, &failed, &nursery] { attempt(target, failed, nursery); },
                           {.name = "connect"});
        move_on_after(delay_, [&] { failed.wait(); });
      }
    });
  }

  std::optional<SocketStream> winner;
  std::vector<std::exception_ptr> errors;

 private:
  void attempt(const SocketAddress& target, Event& failed, Nursery& nursery) {
    try {
      SocketStream stream = connect_(target);
      if (!winner) winner.emplace(std::move(stream));
      nursery.cancel_scope().cancel("connected");
    } catch (const std::system_error&) {
      errors.push_back(std::current_exception());
      failed.set();  // The next one need not wait for the delay.
    }
  }

  const detail::Connect& connect_;
  const Duration delay_;
  std::deque<Event> failed_;
};

[[noreturn]] void throw_all_failed(const Race& race, const std::string& description) {
  const std::string what = "all attempts to connect to " + description + " failed";
  std::error_code first;
  try {
    std::rethrow_exception(race.errors.front());
  } catch (const std::system_error& error) {
    first = error.code();
  }
  try {
    throw ExceptionGroup(what, race.errors);
  } catch (...) {
    std::throw_with_nested(std::system_error(first, what));
  }
}

// `local_address` is numeric, or else a name of this machine.
void bind_to(socket::SocketType& opened, const SocketAddress& target,
             const std::string& local_address) {
  // The port is chosen when the peer is known: otherwise each connection would take one of the
  // address's few for itself, although others to other peers could share it. Systems that do not
  // know the option do without.
  const int on = 1;
  sys::setsockopt(opened.fileno(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  for (const SocketAddress& local : resolve(local_address, 0)) {
    if (local.family() == target.family()) return opened.bind(local);
  }
  throw_errno(EAFNOSUPPORT, "connect to " + target.to_string() + " from " + local_address);
}

SocketStream connect_tcp(const SocketAddress& target, const std::string& local_address) {
  socket::SocketType opened = socket::socket(target.family(), SOCK_STREAM);
  if (!local_address.empty()) bind_to(opened, target, local_address);
  opened.connect(target);
  return SocketStream(std::move(opened));
}

}  // namespace

namespace detail {
SocketStream race_connections(std::vector<SocketAddress> targets, Duration delay,
                              const std::string& description, const Connect& connect) {
  if (targets.empty()) throw_errno(EADDRNOTAVAIL, "no address to connect to for " + description);
  put_other_family_second(targets);
  Race race(connect, delay);
  race.run(targets);
  if (!race.winner) throw_all_failed(race, description);
  return std::move(*race.winner);
}
}  // namespace detail

SocketStream open_tcp_stream(const std::string& host, std::uint16_t port,
                             const TcpStreamOptions& options) {
  checkpoint_if_cancelled();
  if (options.happy_eyeballs_delay < Duration::zero()) {
    throw UsageError("happy_eyeballs_delay must not be negative");
  }
  const std::string description =
      (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
  return detail::race_connections(
      resolve(host, port), options.happy_eyeballs_delay, description,
      [&](const SocketAddress& target) { return connect_tcp(target, options.local_address); });
}

}  // namespace weft::fibers
