// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/testing/fault_table.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace weft::fibers::testing {

namespace {

// Of which descriptors a row speaks.
enum class Kind : std::uint8_t { kAny, kPipe, kStreamSocket, kOtherSocket, kFile, kNone };

struct Row {
  std::string_view name;
  std::array<int, 8> errors;      // As many as are not 0.
  std::array<int, 8> after = {};  // Though it does its work.
  int detail = -1;                // Only with this second argument.
  bool may_be_short = false;
  bool moves_data = false;  // The row does not hold for event and timer descriptors.
};

// EAGAIN is missing where weft waits for an edge: the system gives it only where there will be one.
constexpr auto kRows = std::to_array<Row>({
    {.name = "read", .errors = {EINTR, EIO}, .may_be_short = true, .moves_data = true},
    {.name = "write",
     .errors = {EINTR, EIO, EPIPE, ENOSPC},
     .may_be_short = true,
     .moves_data = true},
    {.name = "recv", .errors = {EINTR, ECONNRESET, ENOMEM}, .may_be_short = true},
    {.name = "recvfrom", .errors = {EINTR, ECONNRESET, ENOMEM}, .may_be_short = true},
    {.name = "recvmsg", .errors = {EINTR, ECONNRESET, ENOMEM}},
    {.name = "send", .errors = {EINTR, EPIPE, ECONNRESET, ENOBUFS}, .may_be_short = true},
    {.name = "sendto", .errors = {EINTR, EPIPE, ENOBUFS, EMSGSIZE}, .may_be_short = true},
    {.name = "sendmsg", .errors = {EINTR, EPIPE, ECONNRESET, ENOBUFS}},
    {.name = "sendfile", .errors = {EINTR, EINVAL, EPIPE, ECONNRESET, ENOMEM}},
    {.name = "pread", .errors = {EINTR, EIO}, .may_be_short = true},
    {.name = "accept4",
     .errors = {EINTR, ECONNABORTED, EPROTO, EPERM, EMFILE, ENFILE, ENOBUFS, ENOMEM}},
    {.name = "connect", .errors = {ECONNREFUSED, ETIMEDOUT, ENETUNREACH, ENOMEM}, .after = {EINTR}},
    {.name = "socket", .errors = {EMFILE, ENFILE, ENOBUFS, EAFNOSUPPORT}},
    {.name = "socketpair", .errors = {EMFILE, ENFILE, ENOMEM}},
    {.name = "bind", .errors = {EADDRINUSE, EACCES, ENOMEM}},
    {.name = "listen", .errors = {EADDRINUSE}},
    {.name = "shutdown", .errors = {ENOBUFS}},
    {.name = "getsockopt", .errors = {ENOBUFS}},
    {.name = "setsockopt", .errors = {ENOBUFS, ENOPROTOOPT}},
    {.name = "getsockname", .errors = {ENOBUFS}},
    {.name = "getpeername", .errors = {ENOBUFS, ENOTCONN}},
    {.name = "getaddrinfo", .errors = {EAI_AGAIN, EAI_MEMORY, EAI_FAIL, EAI_NONAME}},
    {.name = "getnameinfo", .errors = {EAI_AGAIN, EAI_MEMORY}},
    {.name = "getprotobyname_r", .errors = {EMFILE}},
    {.name = "open", .errors = {EINTR, EMFILE, ENFILE, ENOMEM, EACCES}},
    {.name = "close", .errors = {}, .after = {EINTR, EIO}},
    {.name = "fcntl", .errors = {EMFILE}, .detail = F_DUPFD_CLOEXEC},
    {.name = "pipe2", .errors = {EMFILE, ENFILE}},
    {.name = "poll", .errors = {EINTR, ENOMEM}},
    {.name = "ppoll", .errors = {EINTR}},
    {.name = "eventfd", .errors = {EMFILE, ENFILE, ENOMEM}},
    {.name = "epoll_create1", .errors = {EMFILE, ENFILE, ENOMEM}},
    {.name = "epoll_ctl", .errors = {ENOMEM, ENOSPC}, .detail = EPOLL_CTL_ADD},
    {.name = "epoll_wait", .errors = {EINTR}},
    {.name = "epoll_pwait2", .errors = {EINTR, ENOSYS}},
    {.name = "timerfd_create", .errors = {EMFILE, ENFILE, ENOMEM}},
    {.name = "timerfd_settime", .errors = {EPERM}},
    {.name = "mmap", .errors = {ENOMEM}},
    {.name = "mprotect", .errors = {ENOMEM}},
    // EINVAL: a kernel that does not know the advice.
    {.name = "madvise", .errors = {ENOMEM, EAGAIN, EINVAL}},
    {.name = "mincore", .errors = {EAGAIN}},
    {.name = "sigtimedwait", .errors = {EINTR}},
    {.name = "sem_wait", .errors = {EINTR}},
    {.name = "sem_timedwait", .errors = {EINTR}},
    {.name = "tgkill", .errors = {EAGAIN}},
    {.name = "kill", .errors = {EPERM}},
    {.name = "pidfd_send_signal", .errors = {EPERM, ENOSYS}},
    {.name = "pthread_getattr_np", .errors = {}},  // For the sanitizers, which rely on it.
    {.name = "thread", .errors = {EAGAIN}},
    {.name = "posix_spawnp", .errors = {EAGAIN, ENOMEM, EMFILE}},
    {.name = "posix_spawn_file_actions_init", .errors = {ENOMEM}},
    {.name = "posix_spawn_file_actions_adddup2", .errors = {ENOMEM}},
    {.name = "posix_spawn_file_actions_addclose", .errors = {ENOMEM}},
    {.name = "posix_spawn_file_actions_addclosefrom_np", .errors = {ENOMEM}},
    {.name = "posix_spawn_file_actions_addchdir_np", .errors = {ENOMEM}},
    {.name = "waitid", .errors = {EINTR}},
    {.name = "waitpid", .errors = {EINTR}},
    {.name = "pidfd_open", .errors = {EMFILE, ENFILE, ENOMEM, ENOSYS}},
    {.name = "stat", .errors = {EACCES, ENOMEM}},
    {.name = "lstat", .errors = {EACCES, ENOMEM}},
    {.name = "fstat", .errors = {ENOMEM}},
    {.name = "mkdir", .errors = {EACCES, ENOSPC}},
    {.name = "rmdir", .errors = {EACCES, EIO}},
    {.name = "unlink", .errors = {EACCES, EIO}},
    {.name = "rename", .errors = {EACCES, ENOSPC}},
    {.name = "link", .errors = {EACCES, ENOSPC}},
    {.name = "symlink", .errors = {EACCES, ENOSPC}},
    {.name = "chmod", .errors = {EPERM, EIO}},
    {.name = "futimens", .errors = {EACCES}},
    {.name = "utimensat", .errors = {EACCES}},
    {.name = "ftruncate", .errors = {EINTR, EIO}},
    {.name = "fopen", .errors = {EINTR, EMFILE, ENFILE, ENOMEM, EACCES}},
    {.name = "fclose", .errors = {}, .after = {EINTR, EIO, ENOSPC}},
    {.name = "fread", .errors = {EINTR, EIO}},
    {.name = "fwrite", .errors = {EINTR, EIO, ENOSPC}},
    {.name = "fflush", .errors = {EINTR, EIO, ENOSPC}},
    {.name = "getline", .errors = {EINTR, EIO}},
    {.name = "fseeko", .errors = {EIO}},
    {.name = "readlink", .errors = {EACCES, EIO}},
    {.name = "getcwd", .errors = {ENOENT}},
    {.name = "realpath", .errors = {EACCES}},
    {.name = "opendir", .errors = {EMFILE, EACCES, ENOMEM}},
    {.name = "readdir", .errors = {EIO}},
});

Kind kind_of(int fd) {
  struct stat found {};
  if (fd < 0 || ::fstat(fd, &found) != 0) return Kind::kNone;
  if (S_ISFIFO(found.st_mode)) return Kind::kPipe;
  if (S_ISREG(found.st_mode) || S_ISCHR(found.st_mode)) return Kind::kFile;
  if (!S_ISSOCK(found.st_mode)) return Kind::kNone;
  int type = 0;
  socklen_t size = sizeof type;
  ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
  return type == SOCK_STREAM ? Kind::kStreamSocket : Kind::kOtherSocket;
}

// A socket of TCP gives less than it was asked for only when there is no more, and who reads from
// it goes by that (OwnedFd::note_drained).
bool is_short_at_the_end_only(const sys::Asked& asked) {
  int protocol = 0;
  socklen_t size = sizeof protocol;
  return std::strcmp(asked.name, "recv") == 0 &&
         ::getsockopt(asked.fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
         protocol == IPPROTO_TCP;
}

// A resolver's errors have numbers of their own.
bool is_resolver(const sys::Asked& asked) {
  return std::strcmp(asked.name, "getaddrinfo") == 0 || std::strcmp(asked.name, "getnameinfo") == 0;
}

const char* resolver_error(int error) {
  switch (error) {
    case EAI_AGAIN:
      return "EAI_AGAIN";
    case EAI_MEMORY:
      return "EAI_MEMORY";
    case EAI_FAIL:
      return "EAI_FAIL";
    default:
      return "EAI_NONAME";
  }
}

}  // namespace

std::vector<Fault> faults_of(const sys::Asked& asked) {
  std::vector<Fault> faults;
  const auto* const row = std::find_if(kRows.begin(), kRows.end(),
                                       [&](const Row& each) { return each.name == asked.name; });
  if (row == kRows.end() || (row->detail >= 0 && row->detail != asked.detail)) return faults;
  const Kind kind = row->moves_data || row->may_be_short ? kind_of(asked.fd) : Kind::kAny;
  if (row->moves_data && (kind == Kind::kNone || kind == Kind::kAny)) return faults;
  for (const int error : row->errors) {
    if (error == 0) break;
    if (row->moves_data && error == EPIPE && kind != Kind::kPipe) continue;
    if (row->moves_data && error == ENOSPC && kind != Kind::kFile) continue;
    faults.push_back({.error = error});
  }
  for (const int error : row->after) {
    if (error != 0) faults.push_back({.error = error, .after = true});
  }
  // A message is not torn.
  if (row->may_be_short && asked.size > 1 && kind != Kind::kOtherSocket &&
      !is_short_at_the_end_only(asked)) {
    faults.push_back({});
  }
  return faults;
}

bool is_invisible(const Fault& fault) {
  // ENOSYS: every call that an old kernel lacks has a substitute.
  return fault.error == 0 || fault.error == EINTR || fault.error == ENOSYS;
}

std::string name_of(const sys::Asked& asked, const Fault& fault) {
  if (fault.error == 0) return "short";
  if (is_resolver(asked)) return resolver_error(fault.error);
  const char* name = ::strerrorname_np(fault.error);
  return name != nullptr ? name : std::to_string(fault.error);
}

}  // namespace weft::fibers::testing
