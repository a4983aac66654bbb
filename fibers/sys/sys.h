// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Every system call that weft makes, under its own name; see call.h. Library functions that are
// little more than a system call, or that make some, are here as well.

#pragma once

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <grp.h>
#include <locale.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <semaphore.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <ctime>
#include <thread>
#include <utility>

#include "fibers/sys/call.h"

namespace weft::fibers::sys {

// System calls for which glibc has no function, or none of one type.
namespace nameless {
inline int pidfd_open(int pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}
inline int pidfd_send_signal(int pidfd, int number) {
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0));
}
// The system's take a third argument or none.
inline int open(const char* path, int flags, mode_t mode) {
  return ::open(path, flags, mode);
}
inline int fcntl(int fd, int command, int argument) {
  return ::fcntl(fd, command, argument);
}
}  // namespace nameless

// They stand for functions, and are named so.
// NOLINTBEGIN(readability-identifier-naming)

// --- Descriptors ---
inline constexpr Call<&nameless::open> open{"open"};
inline constexpr Call<&::fstat> fstat{"fstat"};
inline constexpr Call<&::close> close{"close"};
inline constexpr Call<&::read> read{"read"};
inline constexpr Call<&::write> write{"write"};
inline constexpr Call<&nameless::fcntl> fcntl{"fcntl"};
inline constexpr Call<&::pipe2> pipe2{"pipe2"};
inline constexpr Call<&::poll> poll{"poll"};
inline constexpr Call<&::ppoll> ppoll{"ppoll"};
inline constexpr Call<&::isatty> isatty{"isatty"};
inline constexpr Call<&::eventfd> eventfd{"eventfd"};
inline constexpr Call<&::epoll_create1> epoll_create1{"epoll_create1"};
inline constexpr Call<&::epoll_ctl> epoll_ctl{"epoll_ctl"};
inline constexpr Call<&::epoll_wait> epoll_wait{"epoll_wait"};
inline constexpr Call<&::epoll_pwait2> epoll_pwait2{"epoll_pwait2"};
inline constexpr Call<&::timerfd_create> timerfd_create{"timerfd_create"};
inline constexpr Call<&::timerfd_settime> timerfd_settime{"timerfd_settime"};

// --- Sockets ---
inline constexpr Call<&::socket> socket{"socket"};
inline constexpr Call<&::socketpair> socketpair{"socketpair"};
inline constexpr Call<&::bind> bind{"bind"};
inline constexpr Call<&::listen> listen{"listen"};
inline constexpr Call<&::accept4> accept4{"accept4"};
inline constexpr Call<&::connect> connect{"connect"};
inline constexpr Call<&::shutdown> shutdown{"shutdown"};
inline constexpr Call<&::send> send{"send"};
inline constexpr Call<&::sendto> sendto{"sendto"};
inline constexpr Call<&::sendmsg> sendmsg{"sendmsg"};
inline constexpr Call<&::recv> recv{"recv"};
inline constexpr Call<&::recvfrom> recvfrom{"recvfrom"};
inline constexpr Call<&::recvmsg> recvmsg{"recvmsg"};
inline constexpr Call<&::getsockopt> getsockopt{"getsockopt"};
inline constexpr Call<&::setsockopt> setsockopt{"setsockopt"};
inline constexpr Call<&::getsockname> getsockname{"getsockname"};
inline constexpr Call<&::getpeername> getpeername{"getpeername"};
inline constexpr Call<&::getaddrinfo, Failure::kReturnsIt> getaddrinfo{"getaddrinfo"};
inline constexpr Call<&::getnameinfo, Failure::kReturnsIt> getnameinfo{"getnameinfo"};
inline constexpr Call<&::getprotobyname_r, Failure::kReturnsIt> getprotobyname_r{
    "getprotobyname_r"};
inline constexpr Call<&::newlocale> newlocale{"newlocale"};

// --- Memory ---
inline constexpr Call<&::mmap> mmap{"mmap"};
inline constexpr Call<&::munmap> munmap{"munmap"};
inline constexpr Call<&::mprotect> mprotect{"mprotect"};
inline constexpr Call<&::madvise> madvise{"madvise"};
inline constexpr Call<&::mincore> mincore{"mincore"};

// --- Signals, time, threads ---
inline constexpr Call<&::sigaction> sigaction{"sigaction"};
inline constexpr Call<&::signal, Failure::kCannotFail> signal{"signal"};
inline constexpr Call<&::raise> raise{"raise"};
inline constexpr Call<&::kill> kill{"kill"};
inline constexpr Call<&::tgkill> tgkill{"tgkill"};
inline constexpr Call<&::sigaltstack> sigaltstack{"sigaltstack"};
inline constexpr Call<&::sigpending> sigpending{"sigpending"};
inline constexpr Call<&::sigtimedwait> sigtimedwait{"sigtimedwait"};
inline constexpr Call<&::pthread_sigmask, Failure::kReturnsIt> pthread_sigmask{"pthread_sigmask"};
inline constexpr Call<&::pthread_getattr_np, Failure::kReturnsIt> pthread_getattr_np{
    "pthread_getattr_np"};
inline constexpr Call<&::pthread_setname_np, Failure::kReturnsIt> pthread_setname_np{
    "pthread_setname_np"};
inline constexpr Call<&::sem_post> sem_post{"sem_post"};
inline constexpr Call<&::sem_wait> sem_wait{"sem_wait"};
inline constexpr Call<&::sem_timedwait> sem_timedwait{"sem_timedwait"};
inline constexpr Call<&::sem_clockwait> sem_clockwait{"sem_clockwait"};
inline constexpr Call<&::dlopen> dlopen{"dlopen"};
inline constexpr Call<&::getpid, Failure::kCannotFail> getpid{"getpid"};
inline constexpr Call<&::gettid, Failure::kCannotFail> gettid{"gettid"};
inline constexpr Call<&::getuid, Failure::kCannotFail> getuid{"getuid"};

template <class F>
std::thread thread(F&& body) {
  return throwing("thread", [&] { return std::thread(std::forward<F>(body)); });
}

// --- Processes ---
inline constexpr Call<&::posix_spawnp, Failure::kReturnsIt> posix_spawnp{"posix_spawnp"};
inline constexpr Call<&::waitpid> waitpid{"waitpid"};
inline constexpr Call<&::waitid> waitid{"waitid"};
inline constexpr Call<&::posix_spawn_file_actions_init, Failure::kReturnsIt>
    posix_spawn_file_actions_init{"posix_spawn_file_actions_init"};
inline constexpr Call<&::posix_spawn_file_actions_adddup2, Failure::kReturnsIt>
    posix_spawn_file_actions_adddup2{"posix_spawn_file_actions_adddup2"};
inline constexpr Call<&::posix_spawn_file_actions_addclose, Failure::kReturnsIt>
    posix_spawn_file_actions_addclose{"posix_spawn_file_actions_addclose"};
inline constexpr Call<&::posix_spawn_file_actions_addclosefrom_np, Failure::kReturnsIt>
    posix_spawn_file_actions_addclosefrom_np{"posix_spawn_file_actions_addclosefrom_np"};
inline constexpr Call<&::posix_spawn_file_actions_addchdir_np, Failure::kReturnsIt>
    posix_spawn_file_actions_addchdir_np{"posix_spawn_file_actions_addchdir_np"};
inline constexpr Call<&nameless::pidfd_open> pidfd_open{"pidfd_open"};
inline constexpr Call<&nameless::pidfd_send_signal> pidfd_send_signal{"pidfd_send_signal"};

// --- Files ---
inline constexpr Call<&::stat> stat{"stat"};
inline constexpr Call<&::lstat> lstat{"lstat"};
inline constexpr Call<&::mkdir> mkdir{"mkdir"};
inline constexpr Call<&::rmdir> rmdir{"rmdir"};
inline constexpr Call<&::unlink> unlink{"unlink"};
inline constexpr Call<&::rename> rename{"rename"};
inline constexpr Call<&::link> link{"link"};
inline constexpr Call<&::symlink> symlink{"symlink"};
inline constexpr Call<&::chmod> chmod{"chmod"};
inline constexpr Call<&::futimens> futimens{"futimens"};
inline constexpr Call<&::utimensat> utimensat{"utimensat"};
inline constexpr Call<&::ftruncate> ftruncate{"ftruncate"};
inline constexpr Call<&::opendir> opendir{"opendir"};
inline constexpr Call<&::readdir> readdir{"readdir"};
inline constexpr Call<&::closedir> closedir{"closedir"};
inline constexpr Call<&::fopen> fopen{"fopen"};
inline constexpr Call<&::fclose> fclose{"fclose"};
inline constexpr Call<&::fread, Failure::kStream> fread{"fread"};
inline constexpr Call<&::fwrite, Failure::kStream> fwrite{"fwrite"};
inline constexpr Call<&::fflush, Failure::kStream> fflush{"fflush"};
inline constexpr Call<&::getline, Failure::kStream> getline{"getline"};
inline constexpr Call<&::fseeko> fseeko{"fseeko"};
inline constexpr Call<&::ftello> ftello{"ftello"};
inline constexpr Call<&::getpwnam_r, Failure::kReturnsIt> getpwnam_r{"getpwnam_r"};
inline constexpr Call<&::getpwuid_r, Failure::kReturnsIt> getpwuid_r{"getpwuid_r"};
inline constexpr Call<&::getgrgid_r, Failure::kReturnsIt> getgrgid_r{"getgrgid_r"};

// NOLINTEND(readability-identifier-naming)

}  // namespace weft::fibers::sys
