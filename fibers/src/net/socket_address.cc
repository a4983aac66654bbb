// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/socket_address.h"

#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "fibers/sys/sys.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/socket/getaddrinfo.h"

namespace weft::fibers {

namespace {

std::vector<SocketAddress> resolve_with(const std::string& host, std::uint16_t port, int flags) {
  const std::vector<socket::AddressInfo> found =
      socket::getaddrinfo(host, std::to_string(port), {.type = SOCK_STREAM, .flags = flags});
  std::vector<SocketAddress> addresses;
  addresses.reserve(found.size());
  // A name that stands twice in /etc/hosts has its address twice, and nobody can listen there
  // twice.
  for (const socket::AddressInfo& info : found) {
    if (std::find(addresses.begin(), addresses.end(), info.address) == addresses.end()) {
      addresses.push_back(info.address);
    }
  }
  return addresses;
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

SocketAddress SocketAddress::from_path(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const bool is_abstract = !path.empty() && path.front() == '\0';
  if (path.empty() || (!is_abstract && path.find('\0') != std::string::npos)) {
    throw UsageError("the path of a Unix socket must not be empty or contain a zero byte");
  }
  // A path ends with a zero byte, an abstract name with its length.
  const std::size_t room = sizeof address.sun_path - (is_abstract ? 0 : 1);
  if (path.size() > room) {
    throw std::system_error(ENAMETOOLONG, std::generic_category(),
                            "the path of a Unix socket has " + std::to_string(path.size()) +
                                " bytes, of at most " + std::to_string(room) + ": " + path);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const std::size_t size = offsetof(sockaddr_un, sun_path) + path.size() + (is_abstract ? 0 : 1);
  return SocketAddress(static_cast<const sockaddr*>(static_cast<const void*>(&address)), size);
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
  if (size_ == 0 || sys::getnameinfo(data(), static_cast<socklen_t>(size_), text.data(),
                                     text.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
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
  checkpoint_if_cancelled();
  if (host.empty()) throw UsageError("resolve() needs a host name or address");
  return resolve_with(host, port, 0);
}

std::vector<SocketAddress> resolve_for_listening(const std::string& host, std::uint16_t port) {
  return resolve_with(host, port, AI_PASSIVE);
}

}  // namespace weft::fibers
