// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Where a socket is: an IPv4 or IPv6 address with a port, or the path of a Unix socket.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "weft/fibers/detail/requirements.h"

struct sockaddr;

namespace weft::fibers {

// A value. Holds a sockaddr of any family; empty until something is put in.
class SocketAddress {
 public:
  SocketAddress() = default;
  // A copy. Throws UsageError if it is too long to be an address.
  SocketAddress(const sockaddr* address, std::size_t size);
  // A Unix socket's: the path of a file, or, beginning with a zero byte, an abstract name, of which
  // there is no file. Throws std::system_error that names a path of more than 107 bytes, UsageError
  // for none and for one with a zero byte in it.
  static SocketAddress from_path(const std::string& path);

  bool empty() const { return size_ == 0; }
  // AF_INET, AF_INET6, AF_UNIX; 0 when empty.
  int family() const;
  // "127.0.0.1", "fe80::1%eth0", "/run/x.sock"; empty if there is none.
  std::string host() const;
  // 0 for a Unix socket.
  std::uint16_t port() const;
  // "127.0.0.1:80", "[::1]:80", "/run/x.sock".
  std::string to_string() const;

  // For system calls.
  const sockaddr* data() const;
  sockaddr* data();
  std::size_t size() const { return size_; }
  // After a system call has written through data(). Throws UsageError above capacity().
  void set_size(std::size_t size);
  static constexpr std::size_t capacity() { return kCapacity; }

  friend bool operator==(const SocketAddress& a, const SocketAddress& b);

 private:
  static constexpr std::size_t kCapacity = 128;
  alignas(8) std::array<std::byte, kCapacity> bytes_{};
  std::size_t size_ = 0;
};

// The addresses of `host`, in the order in which they should be tried. Numeric addresses are
// converted on the spot, names are looked up in a thread. Throws std::system_error with the
// resolver's words.
//
// Blocks: yes, always a checkpoint.
// Cancel: at once; a look-up that is under way is abandoned.
// Threads: the run's own only.
std::vector<SocketAddress> resolve(const std::string& host, std::uint16_t port);
// Where to listen: as above, or with no host every address of this machine.
//
// Blocks: yes, always a checkpoint.
// Cancel: at once; a look-up that is under way is abandoned.
// Threads: the run's own only.
std::vector<SocketAddress> resolve_for_listening(const std::string& host, std::uint16_t port);

}  // namespace weft::fibers
