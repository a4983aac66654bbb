// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/socket/message.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstring>
#include <vector>

#include "fibers/src/net/waiting_call.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/socket/socket_type.h"

namespace weft::fibers::socket {

using fibers::detail::throw_errno;
using fibers::detail::try_waiting_call;

namespace {

// Room for control messages, aligned as cmsghdr wants it.
class ControlBuffer {
 public:
  explicit ControlBuffer(std::size_t size)
      : words_((size + sizeof(cmsghdr) - 1) / sizeof(cmsghdr)), size_(size) {}

  void attach(msghdr& header) {
    header.msg_control = size_ == 0 ? nullptr : words_.data();
    header.msg_controllen = size_;
  }

 private:
  std::vector<cmsghdr> words_;
  std::size_t size_;
};

std::size_t space_for(const std::vector<ControlMessage>& messages) {
  std::size_t size = 0;
  for (const ControlMessage& message : messages) size += CMSG_SPACE(message.data.size());
  return size;
}

void write_control(msghdr& header, const std::vector<ControlMessage>& messages) {
  cmsghdr* at = CMSG_FIRSTHDR(&header);
  for (const ControlMessage& message : messages) {
    at->cmsg_level = message.level;
    at->cmsg_type = message.type;
    at->cmsg_len = CMSG_LEN(message.data.size());
    std::memcpy(CMSG_DATA(at), message.data.data(), message.data.size());
    at = CMSG_NXTHDR(&header, at);
  }
}

// Nobody else knows of the descriptors that have come.
void close_received(msghdr& header) noexcept {
  for (cmsghdr* at = CMSG_FIRSTHDR(&header); at != nullptr; at = CMSG_NXTHDR(&header, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t i = 0; i + sizeof(int) <= at->cmsg_len - CMSG_LEN(0); i += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(at) + i, sizeof fd);
      sys::close(fd);
    }
  }
}

std::vector<ControlMessage> copy_control(msghdr& header) {
  std::vector<ControlMessage> messages;
  for (cmsghdr* at = CMSG_FIRSTHDR(&header); at != nullptr; at = CMSG_NXTHDR(&header, at)) {
    const auto* data = static_cast<const char*>(static_cast<const void*>(CMSG_DATA(at)));
    messages.push_back({.level = at->cmsg_level,
                        .type = at->cmsg_type,
                        .data = std::string(data, at->cmsg_len - CMSG_LEN(0))});
  }
  return messages;
}

std::vector<ControlMessage> read_control(msghdr& header) {
  try {
    return copy_control(header);
  } catch (...) {
    close_received(header);
    throw;
  }
}

// The system only reads through it, where it is for sending.
iovec as_iovec(std::string_view data) {
  return {.iov_base = const_cast<char*>(data.data()), .iov_len = data.size()};
}

}  // namespace

std::size_t SocketType::sendmsg(const OutgoingMessage& message) {
  std::vector<iovec> parts;
  parts.reserve(message.buffers.size());
  for (const std::string_view part : message.buffers) parts.push_back(as_iovec(part));
  SocketAddress address = message.address;
  msghdr header{};
  header.msg_iov = parts.data();
  header.msg_iovlen = parts.size();
  if (!address.empty()) {
    header.msg_name = address.data();
    header.msg_namelen = static_cast<socklen_t>(address.size());
  }
  ControlBuffer control(space_for(message.ancillary));
  control.attach(header);
  write_control(header, message.ancillary);
  const auto n = try_waiting_call(fd_, FdDirection::kWrite, "socket", [&] {
    return sys::sendmsg(fd_.get(), &header, message.flags | MSG_NOSIGNAL);
  });
  if (!n) throw_errno(errno, "sendmsg");
  return static_cast<std::size_t>(*n);
}

IncomingMessage SocketType::recvmsg_into(std::span<const std::span<std::byte>> buffers,
                                         std::size_t ancillary_size, int flags) {
  std::vector<iovec> parts;
  parts.reserve(buffers.size());
  for (const std::span<std::byte> part : buffers) {
    parts.push_back({.iov_base = part.data(), .iov_len = part.size()});
  }
  IncomingMessage message;
  ControlBuffer control(ancillary_size);
  msghdr header{};
  const auto n = try_waiting_call(fd_, FdDirection::kRead, "socket", [&] {
    header = {};
    header.msg_iov = parts.data();
    header.msg_iovlen = parts.size();
    header.msg_name = message.address.data();
    header.msg_namelen = static_cast<socklen_t>(SocketAddress::capacity());
    control.attach(header);
    const ssize_t received = sys::recvmsg(fd_.get(), &header, flags | MSG_CMSG_CLOEXEC);
    // Now, and not when this task's turn has come again: nobody may be there to take it then.
    if (received >= 0) message.ancillary = read_control(header);
    return received;
  });
  if (!n) throw_errno(errno, "recvmsg");
  message.size = static_cast<std::size_t>(*n);
  message.flags = header.msg_flags & ~MSG_CMSG_CLOEXEC;
  message.address.set_size(std::min<std::size_t>(header.msg_namelen, SocketAddress::capacity()));
  return message;
}

IncomingMessage SocketType::recvmsg(std::size_t size, std::size_t ancillary_size, int flags) {
  std::string data(size, '\0');
  const std::span<std::byte> buffer = std::as_writable_bytes(std::span(data));
  IncomingMessage message = recvmsg_into(std::span(&buffer, 1), ancillary_size, flags);
  data.resize(std::min(message.size, size));
  message.data = std::move(data);
  return message;
}

}  // namespace weft::fibers::socket
