// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// All calls of sys.h, to be sent through a gate. tools/checks/seam sees that none is missing.

#include "fibers/sys/child.h"
#include "fibers/sys/gated.h"
#include "fibers/sys/sendfile.h"
#include "fibers/sys/sys.h"

namespace weft::fibers::sys {

namespace {

template <const auto&... kCalls>
void install() {
  (GatedCall<kCalls>::install(), ...);
}

}  // namespace

Gate::Gate() {
  install<open, fstat, close, read, write, fcntl, pipe2, poll, ppoll, isatty, eventfd,
          epoll_create1, epoll_ctl, epoll_wait, epoll_pwait2, timerfd_create, timerfd_settime,
          socket, socketpair, bind, listen, accept4, connect, shutdown, send, sendto, sendmsg, recv,
          recvfrom, recvmsg, getsockopt, setsockopt, getsockname, getpeername, getaddrinfo,
          getnameinfo, getprotobyname_r, newlocale, mmap, munmap, mprotect, madvise, mincore,
          sigaction, signal, raise, kill, tgkill, sigaltstack, sigpending, sigtimedwait,
          pthread_sigmask, pthread_getattr_np, pthread_setname_np, sem_post, sem_wait,
          sem_timedwait, sem_clockwait, dlopen, getpid, gettid, getuid, posix_spawnp, waitpid,
          waitid, posix_spawn_file_actions_init, posix_spawn_file_actions_adddup2,
          posix_spawn_file_actions_addclose, posix_spawn_file_actions_addclosefrom_np,
          posix_spawn_file_actions_addchdir_np, pidfd_open, pidfd_send_signal, stat, lstat, mkdir,
          rmdir, unlink, rename, link, symlink, chmod, futimens, utimensat, ftruncate, opendir,
          readdir, closedir, fopen, fclose, fread, fwrite, fflush, getline, fseeko, ftello,
          getpwnam_r, getpwuid_r, getgrgid_r, start_child, sendfile, pread, lseek>();
}

}  // namespace weft::fibers::sys
