// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// That no system call goes past the seam: the kernel is asked to report each one that is made
// outside of it (syscall user dispatch, Linux 5.11), and those that the C library makes on its own
// account are listed here.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/prctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include "fibers/sys/call.h"
#include "tests/support/temporary_directory.h"
#include "weft/fibers/detail/sanitizers.h"
#include "weft/fibers/fd_stream.h"
#include "weft/fibers/file.h"
#include "weft/fibers/from_thread.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/path.h"
#include "weft/fibers/run.h"
#include "weft/fibers/run_process.h"
#include "weft/fibers/signals.h"
#include "weft/fibers/socket.h"
#include "weft/fibers/socket/getaddrinfo.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"
#include "weft/fibers/unix_socket.h"

namespace weft::fibers::testing {
namespace {

// The sanitizers' run-times make system calls of their own.
#if !defined(__x86_64__) || defined(WEFT_ASAN) || defined(WEFT_TSAN)
#define WEFT_CAN_AUDIT 0
#else
#define WEFT_CAN_AUDIT 1
#endif

#if WEFT_CAN_AUDIT

// What is made outside the seam, and by whom.
constexpr std::array kOthers = {
    SYS_brk,             // malloc(): the main heap grows.
    SYS_mmap,            // malloc(): large blocks, other threads' heaps.
    SYS_munmap,          // free(): the same; the stack of a thread that has ended.
    SYS_mremap,          // realloc() of large blocks.
    SYS_mprotect,        // malloc(): another thread's heap grows.
    SYS_madvise,         // free(), and the stack of a thread that ends.
    SYS_getrandom,       // malloc(), std::random_device.
    SYS_futex,           // Mutexes and condition variables: cannot fail for us.
    SYS_sched_yield,     // std::this_thread::yield(): likewise.
    SYS_rt_sigprocmask,  // A thread that ends.
    SYS_rt_sigreturn,    // The end of a signal handler.
    SYS_exit,            // The end of a thread.
};

// Not thread-safe, and need not be: bytes of this thread, read by the kernel.
thread_local volatile char tls_selector = SYSCALL_DISPATCH_FILTER_ALLOW;
thread_local bool tls_watched = false;
std::atomic<bool> g_auditing{false};
std::array<std::atomic<int>, 512> g_seen{};

long raw_call(long number, const greg_t* r) {
  long result = number;
  register long r10 asm("r10") = r[REG_R10];
  register long r8 asm("r8") = r[REG_R8];
  register long r9 asm("r9") = r[REG_R9];
  asm volatile("syscall"
               : "+a"(result)
               : "D"(r[REG_RDI]), "S"(r[REG_RSI]), "d"(r[REG_RDX]), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

// Notes the call, makes it, and goes on as if nothing had been.
void on_call(int, siginfo_t* info, void* context) {
  tls_selector = SYSCALL_DISPATCH_FILTER_ALLOW;
  auto& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
  if (!g_auditing) {
    // A thread that an audit has left: the call is made again, and nobody asks any more.
    machine.gregs[REG_RIP] -= 2;
    machine.gregs[REG_RAX] = info->si_syscall;
    return;
  }
  const auto number = static_cast<std::size_t>(info->si_syscall);
  if (number < g_seen.size()) ++g_seen[number];
  if (info->si_syscall == SYS_rt_sigprocmask) {
    // Made here it would be undone by the return from here. Only threads that end make it.
    machine.gregs[REG_RAX] = 0;
  } else {
    machine.gregs[REG_RAX] = raw_call(info->si_syscall, machine.gregs);
  }
  tls_selector = SYSCALL_DISPATCH_FILTER_BLOCK;
}

// Where signal handlers return to: the system call there has to go through.
std::uintptr_t address_of_return() {
  struct KernelAction {
    void* handler;
    unsigned long flags;
    std::uintptr_t restorer;
    unsigned long mask;
  } action{};
  ::syscall(SYS_rt_sigaction, SIGSYS, nullptr, &action, sizeof action.mask);
  return action.restorer;
}

bool watch_this_thread() {
  return ::prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, address_of_return(), 32,
                 &tls_selector) == 0;
}

// Open while a call goes through the seam.
class AuditGate final : public sys::Gate {
 public:
  sys::Answer before(const sys::Asked& /*asked*/) noexcept override {
    tls_selector = SYSCALL_DISPATCH_FILTER_ALLOW;
    // A thread that is new is watched from its first call on.
    if (!tls_watched) tls_watched = watch_this_thread();
    return {};
  }
  void after() noexcept override { tls_selector = SYSCALL_DISPATCH_FILTER_BLOCK; }
};
AuditGate g_gate;

// For as long as the process lives: threads that are kept for later stay watched.
bool install() {
  struct sigaction action {};
  action.sa_sigaction = &on_call;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  ::sigaction(SIGSYS, &action, nullptr);
  return tls_watched = watch_this_thread();
}

// The numbers of the calls beside the seam that nobody has a reason for.
std::vector<std::size_t> calls_beside(const std::function<void()>& body) {
  for (auto& each : g_seen) each = 0;
  g_auditing = true;
  sys::gate = &g_gate;
  tls_selector = SYSCALL_DISPATCH_FILTER_BLOCK;
  run(body);
  tls_selector = SYSCALL_DISPATCH_FILTER_ALLOW;
  sys::gate = nullptr;
  g_auditing = false;
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < g_seen.size(); ++i) {
    const bool known =
        std::find(kOthers.begin(), kOthers.end(), static_cast<long>(i)) != kOthers.end();
    if (g_seen[i] > 0 && !known) found.push_back(i);
  }
  return found;
}

#define WEFT_AUDIT_OR_SKIP() \
  if (!install()) GTEST_SKIP() << "this kernel does not report system calls"

#else

std::vector<std::size_t> calls_beside(const std::function<void()>&) {
  return {};
}
#define WEFT_AUDIT_OR_SKIP() GTEST_SKIP() << "not on this machine, or not under this sanitizer"

#endif

constexpr std::array<std::size_t, 0> kNone{};

TEST(SeamAudit, FindsACallBesideTheSeam) {
  WEFT_AUDIT_OR_SKIP();
  const auto found = calls_beside([] { ::getppid(); });
  EXPECT_EQ(found, std::vector<std::size_t>{SYS_getppid});
}

TEST(SeamAudit, FindsOneInAWorkerThread) {
  WEFT_AUDIT_OR_SKIP();
  const auto found = calls_beside([] { to_thread::run_sync([] { ::getppid(); }); });
  EXPECT_EQ(found, std::vector<std::size_t>{SYS_getppid});
}

TEST(SeamAudit, TasksTimeAndThreads) {
  WEFT_AUDIT_OR_SKIP();
  const auto found = calls_beside([] {
    open_nursery([](Nursery& nursery) {
      for (const std::size_t size : {64 * 1024, 1024 * 1024}) {
        nursery.start_soon([] { sleep(std::chrono::milliseconds(1)); }, {.stack_size = size});
      }
      to_thread::run_sync([] { from_thread::run_sync([] {}); });
    });
  });
  EXPECT_THAT(found, ::testing::ElementsAreArray(kNone));
}

TEST(SeamAudit, Sockets) {
  WEFT_AUDIT_OR_SKIP();
  const test::TemporaryDirectory directory;
  const std::string path = directory / "socket";
  const auto found = calls_beside([&] {
    const auto echo = [](SocketListener& listener, SocketStream stream) {
      SocketStream accepted = listener.accept();
      stream.send_all("hello");
      accepted.send_all(accepted.receive_some());
      stream.send_eof();
      stream.aclose();
    };
    std::vector<SocketListener> tcp = open_tcp_listeners(0, {.host = "localhost"});
    echo(tcp.front(), open_tcp_stream("localhost", tcp.front().local_address().port()));
    std::vector<SocketListener> unix_one = open_unix_listeners(path);
    echo(unix_one.front(), open_unix_socket(path));
    socket::getaddrinfo("127.0.0.1", "80");
  });
  EXPECT_THAT(found, ::testing::ElementsAreArray(kNone));
}

TEST(SeamAudit, ProcessesPipesAndSignals) {
  WEFT_AUDIT_OR_SKIP();
  const auto found = calls_beside([] {
    auto [send, receive] = open_pipe();
    send.send_all("words");
    receive.receive_some();
    run_process({"cat"}, {.stdin = "words", .capture_stdout = true});
    open_signal_receiver({SIGUSR1}, [](SignalReceiver&) { checkpoint(); });
  });
  EXPECT_THAT(found, ::testing::ElementsAreArray(kNone));
}

TEST(SeamAudit, Files) {
  WEFT_AUDIT_OR_SKIP();
  const test::TemporaryDirectory directory;
  const auto found = calls_beside([&] {
    const Path path = Path(directory.path()) / "file";
    path.write_text("one\ntwo\n");
    File file = path.open("r+");
    file.readline();
    file.seek(0);
    file.truncate();
    file.aclose();
    path.chmod(0600);
    (Path(directory.path()) / "link").symlink_to(path);
    Path(directory.path()).iterdir();
    Path(directory.path()).rglob("*");
    path.resolve();
    path.unlink();
  });
  EXPECT_THAT(found, ::testing::ElementsAreArray(kNone));
}

}  // namespace
}  // namespace weft::fibers::testing
