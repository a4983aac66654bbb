// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// as_old_kernel <program> <argument>...: runs a program as Linux 4.18 would. Every system call that
// is newer says ENOSYS, and what newer kernels have taught madvise() and waitid() is EINVAL.
//
// Exit status: the program's; 125 if this machine allows no filters.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace {

// Since Linux 5.1 new calls have the same number on every processor, from this one on.
constexpr std::uint32_t kFirstNew = 424;

constexpr std::uint32_t fail(int error) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error);
}

constexpr std::uint32_t argument(std::size_t index) {
  return static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 8 * index);
}

bool forget_new_calls() {
  std::array filter = {
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kFirstNew, 6, 0),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_waitid, 0, 2),
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument(0)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, P_PIDFD, 4, 5),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 4),
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument(2)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, MADV_COLD, 1, 2),
      sock_filter BPF_STMT(BPF_RET | BPF_K, fail(ENOSYS)),
      sock_filter BPF_STMT(BPF_RET | BPF_K, fail(EINVAL)),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = static_cast<unsigned short>(filter.size()),
                           .filter = filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: as_old_kernel <program> <argument>...\n", stderr);
    return 2;
  }
  if (!forget_new_calls()) {
    std::perror("as_old_kernel: no filter for system calls");
    return 125;
  }
  ::execvp(argv[1], argv + 1);
  std::perror(argv[1]);
  return 127;
}
