// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/socket_address.h"

#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <system_error>

#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers {

namespace {

class ResolverCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "getaddrinfo"; }
  std::string message(int code) const override { return ::gai_strerror(code); }
};

[[noreturn]] void throw_resolver_error(int code, int system_error, const std::string& host) {
  static const ResolverCategory category;
  const std::string what = "cannot resolve '" + host + "'";
  if (code == EAI_SYSTEM) throw std::system_error(system_error, std::generic_category(), what);
  throw std::system_error(code, category, what);
}

// What getaddrinfo said, carried from one thread to another.
struct LookUp {
  int code = 0;
  int system_error = 0;
  std::vector<SocketAddress> addresses;
};

LookUp look_up(const std::string& host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  LookUp result;
  result.code = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(),
                              &hints, &list);
  result.system_error = errno;
  if (result.code != 0) return result;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(list, &::freeaddrinfo);
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    result.addresses.emplace_back(at->ai_addr, at->ai_addrlen);
  }
  return result;
}

std::vector<SocketAddress> resolve_with(const std::string& host, std::uint16_t port, int flags) {
  checkpoint();
  LookUp result = look_up(host, port, flags | AI_NUMERICHOST);
  if (result.code == EAI_NONAME && !host.empty()) {
    result = to_thread::run_sync([host, port, flags] { return look_up(host, port, flags); },
                                 {.thread_name = "getaddrinfo", .abandon_on_cancel = true});
  }
  if (result.code != 0) throw_resolver_error(result.code, result.system_error, host);
  return std::move(result.addresses);
}

std::string unix_path(const sockaddr_un& address, std::size_t size) {
  constexpr std::size_t kStart = offsetof(sockaddr_un, sun_path);
  if (size <= kStart) return {};
  const std::size_t most = std::min(size - kStart, sizeof address.sun_path);
  // An abstract name begins with a zero byte and may hold more of them.
  if (address.sun_path[0] == '\0') return "@" + std::string(address.sun_path + 1, most - 1);
  return std::string(address.sun_path, ::strnlen(address.sun_path, most));
}

template <class Sockaddr>
Sockaddr as(const SocketAddress& address) {
  Sockaddr result{};
  std::memcpy(&result, address.data(), std::min(address.size(), sizeof result));
  return result;
}

}  // namespace

SocketAddress::SocketAddress(const sockaddr* address, std::size_t size) {
  set_size(size);
  std::memcpy(bytes_.data(), address, size);
}

void SocketAddress::set_size(std::size_t size) {
  if (size > kCapacity) throw UsageError("a socket address of more than 128 bytes");
  size_ = size;
}

const sockaddr* SocketAddress::data() const {
  return static_cast<const sockaddr*>(static_cast<const void*>(bytes_.data()));
}
sockaddr* SocketAddress::data() {
  return static_cast<sockaddr*>(static_cast<void*>(bytes_.data()));
}

int SocketAddress::family() const {
  return size_ < sizeof(sa_family_t) ? 0 : as<sockaddr_storage>(*this).ss_family;
}

std::string SocketAddress::host() const {
  if (family() == AF_UNIX) return unix_path(as<sockaddr_un>(*this), size_);
  std::array<char, NI_MAXHOST> text{};
  if (size_ == 0 || ::getnameinfo(data(), static_cast<socklen_t>(size_), text.data(), text.size(),
                                  nullptr, 0, NI_NUMERICHOST) != 0) {
    return {};
  }
  return text.data();
}

std::uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(as<sockaddr_in>(*this).sin_port);
  if (family() == AF_INET6) return ntohs(as<sockaddr_in6>(*this).sin6_port);
  return 0;
}

std::string SocketAddress::to_string() const {
  if (family() == AF_INET) return host() + ":" + std::to_string(port());
  if (family() == AF_INET6) return "[" + host() + "]:" + std::to_string(port());
  return host();
}

bool operator==(const SocketAddress& a, const SocketAddress& b) {
  return a.size_ == b.size_ && std::memcmp(a.bytes_.data(), b.bytes_.data(), a.size_) == 0;
}

std::vector<SocketAddress> resolve(const std::string& host, std::uint16_t port) {
  if (host.empty()) throw UsageError("resolve() needs a host name or address");
  return resolve_with(host, port, 0);
}

std::vector<SocketAddress> resolve_for_listening(const std::string& host, std::uint16_t port) {
  return resolve_with(host, port, AI_PASSIVE);
}

}  // namespace weft::fibers
