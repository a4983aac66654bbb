// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// posix_spawn(), and not fork() or vfork() of our own: it starts the child on this process's memory
// with all signals held back, puts handlers to their defaults before it lets them through, and
// returns the errno of the exec that failed. fork() would copy the page tables of every task's
// stack. It has no attribute for a parent-death signal: for that one option fibers/sys/child.h does
// what it does.

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <utility>

#include "fibers/src/process/lasting_thread.h"
#include "fibers/sys/child.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/detail/child.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/process.h"

namespace weft::fibers::detail {

namespace {

constexpr int kFirstOther = 3;  // After stdin, stdout and stderr.

[[noreturn]] void throw_system_error(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

// For calls that return an errno.
void check(int error, const char* what) {
  if (error != 0) throw_system_error(error, what);
}

PlainFd need_fd(int fd, const std::string& what) {
  if (fd < 0) throw_system_error(errno, what);
  return PlainFd(fd);
}

// What the child does between its birth and its program.
class Actions {
  using Kind = sys::ChildAction::Kind;

 public:
  Actions() { check(sys::posix_spawn_file_actions_init(&actions_), "posix_spawn"); }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  ~Actions() { ::posix_spawn_file_actions_destroy(&actions_); }

  // Also where both are the same: then the child's is not closed by the exec.
  void dup2(int fd, int to) {
    check(sys::posix_spawn_file_actions_adddup2(&actions_, fd, to), "posix_spawn");
    list_.push_back({.kind = Kind::kDup2, .fd = fd, .to = to});
  }
  // `path` outlives this.
  void chdir(const std::string& path) {
    check(sys::posix_spawn_file_actions_addchdir_np(&actions_, path.c_str()), "posix_spawn");
    list_.push_back({.kind = Kind::kChdir, .path = path.c_str()});
  }
  // All but stdin, stdout, stderr and these, whether or not they are close-on-exec.
  void close_all_but(std::vector<int> kept) {
    std::sort(kept.begin(), kept.end());
    int next = kFirstOther;
    for (const int fd : kept) {
      if (fd < kFirstOther) continue;
      for (; next < fd; ++next) {
        check(sys::posix_spawn_file_actions_addclose(&actions_, next), "posix_spawn");
        list_.push_back({.kind = Kind::kClose, .fd = next});
      }
      next = fd + 1;
    }
    check(sys::posix_spawn_file_actions_addclosefrom_np(&actions_, next), "posix_spawn");
    list_.push_back({.kind = Kind::kCloseFrom, .fd = next});
  }
  const posix_spawn_file_actions_t* get() const { return &actions_; }
  // The same, for a child that is not posix_spawn's.
  const std::vector<sys::ChildAction>& list() const { return list_; }

 private:
  posix_spawn_file_actions_t actions_;
  std::vector<sys::ChildAction> list_;
};

// Signals that a child takes by default although this process may ignore them.
sigset_t restored_signals(const ProcessOptions& options) {
  sigset_t restored;
  ::sigemptyset(&restored);
  if (!options.restore_signals) return restored;
  ::sigaddset(&restored, SIGPIPE);
  ::sigaddset(&restored, SIGXFSZ);
  return restored;
}

class Attributes {
 public:
  explicit Attributes(const ProcessOptions& options, const sigset_t& mask) {
    check(::posix_spawnattr_init(&attributes_), "posix_spawn");
    // Another thread makes the call, whose mask is not the caller's.
    int flags = POSIX_SPAWN_SETSIGMASK;
    ::posix_spawnattr_setsigmask(&attributes_, &mask);
    if (options.process_group) {
      flags |= POSIX_SPAWN_SETPGROUP;
      ::posix_spawnattr_setpgroup(&attributes_, *options.process_group);
    }
    if (options.start_new_session) flags |= POSIX_SPAWN_SETSID;
    if (options.restore_signals) {
      const sigset_t restored = restored_signals(options);
      flags |= POSIX_SPAWN_SETSIGDEF;
      ::posix_spawnattr_setsigdefault(&attributes_, &restored);
    }
    ::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags));
  }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  ~Attributes() { ::posix_spawnattr_destroy(&attributes_); }
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

// Strings as exec wants them. The child only reads them.
class StringArray {
 public:
  explicit StringArray(std::vector<std::string> strings) : strings_(std::move(strings)) {
    for (std::string& each : strings_) pointers_.push_back(each.data());
    pointers_.push_back(nullptr);
  }
  char* const* get() const { return pointers_.data(); }

 private:
  std::vector<std::string> strings_;
  std::vector<char*> pointers_;
};

std::vector<std::string> as_lines(const std::map<std::string, std::string>& env) {
  std::vector<std::string> lines;
  lines.reserve(env.size());
  for (const auto& [name, value] : env) lines.emplace_back(name).append("=").append(value);
  return lines;
}

// Whether reading and writing `fd` blocks. Of a file the flag means nothing.
bool blocks(int fd) {
  struct stat about {};
  const int flags = sys::fcntl(fd, F_GETFL, 0);
  return flags < 0 || (flags & O_NONBLOCK) == 0 || (flags & O_PATH) != 0 ||
         (sys::fstat(fd, &about) == 0 && S_ISREG(about.st_mode));
}

// Opens once more what `fd` is open for, so that it blocks. Whether it does is a property of what
// the kernel calls the open file description, which a copy would share with a stream of ours. -1
// and an errno where that is not possible: ENXIO for a socket.
PlainFd open_again(int fd) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const int access = sys::fcntl(fd, F_GETFL, 0) & O_ACCMODE;
  const int again =
      sys::uninterrupted([&] { return sys::open(path.c_str(), access | O_CLOEXEC | O_NOCTTY, 0); });
  if (again < 0 || again >= kFirstOther) return PlainFd(again);
  const PlainFd low(again);
  return PlainFd(sys::fcntl(again, F_DUPFD_CLOEXEC, kFirstOther));
}

// A descriptor that a child gets without being asked what for: blocking if that can be had.
PlainFd blocking_if_possible(int fd) {
  return blocks(fd) ? PlainFd() : open_again(fd);
}

// A descriptor of the caller's for a stream of a child.
PlainFd for_child(int fd) {
  const std::string what = "fd " + std::to_string(fd) + " for a child";
  PlainFd copy = need_fd(sys::fcntl(fd, F_DUPFD_CLOEXEC, kFirstOther), what);
  if (blocks(copy.get())) return copy;
  PlainFd again = open_again(copy.get());
  if (again.get() < 0 && errno == ENXIO) {
    throw UsageError("fd " + std::to_string(fd) +
                     " is a socket that does not block, which no program expects of its streams; "
                     "give the child a pipe, or clear O_NONBLOCK");
  }
  return need_fd(again.take(), what);
}

// Makes what the child's streams lead to.
class ChildStreams {
 public:
  // `target` is 0, 1 or 2.
  void add(int target, const Stdio& stdio, Spawned& spawned) {
    const auto i = static_cast<std::size_t>(target);
    switch (stdio.kind()) {
      case Stdio::Kind::kInherit:
        made_[i] = blocking_if_possible(target);
        return;
      case Stdio::Kind::kPipe:
        made_[i] = add_pipe(target, spawned.ours[i]);
        break;
      case Stdio::Kind::kDevNull:
        made_[i] = need_fd(
            sys::uninterrupted([] { return sys::open("/dev/null", O_RDWR | O_CLOEXEC, 0); }),
            "open /dev/null");
        break;
      case Stdio::Kind::kFd:
        made_[i] = for_child(stdio.fd());
        break;
      case Stdio::Kind::kStdout:
        to_stdout_ = true;
        return;
    }
    // Out of the way: this process may have closed its own stdin, and got a 0 for a pipe.
    if (made_[i].get() < kFirstOther) {
      made_[i] = need_fd(sys::fcntl(made_[i].get(), F_DUPFD_CLOEXEC, kFirstOther), "dup");
    }
  }

  void put(Actions& actions) const {
    for (int target = 0; target < kFirstOther; ++target) {
      const PlainFd& fd = made_[static_cast<std::size_t>(target)];
      if (fd.get() >= 0) actions.dup2(fd.get(), target);
    }
    if (to_stdout_) actions.dup2(STDOUT_FILENO, STDERR_FILENO);
  }

 private:
  // Returns the child's end, which blocks as programs expect it to.
  static PlainFd add_pipe(int target, PlainFd& ours) {
    std::array<int, 2> fds{};
    if (sys::pipe2(fds.data(), O_CLOEXEC) != 0) throw_system_error(errno, "pipe");
    const bool child_reads = target == STDIN_FILENO;
    ours = PlainFd(fds[child_reads ? 1 : 0]);
    return PlainFd(fds[child_reads ? 0 : 1]);
  }

  std::array<PlainFd, kFirstOther> made_;
  bool to_stdout_ = false;
};

// Where posix_spawnp() looks for it.
std::vector<std::string> places_of(const std::string& program) {
  if (program.empty() || program.find('/') != std::string::npos) return {program};
  const char* const path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/bin:/usr/bin";
  std::vector<std::string> places;
  for (;;) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    std::string place(rest.substr(0, end));
    if (!place.empty()) place += '/';
    places.push_back(place += program);
    if (end == rest.size()) return places;
    rest.remove_prefix(end + 1);
  }
}

struct Program {
  std::string name;
  char* const* argv;
  char* const* env;
};

// Returns an error or 0.
int start_tied(const Program& program, const Actions& actions, const ProcessOptions& options,
               const sigset_t& mask, int& pid) {
  const StringArray places(places_of(program.name));
  const sigset_t defaults = restored_signals(options);
  sys::ChildPlan plan{
      .actions = actions.list().data(),
      .action_count = actions.list().size(),
      .programs = places.get(),
      .argv = program.argv,
      .env = program.env,
      .mask = &mask,
      .defaults = &defaults,
      .process_group = options.process_group ? &*options.process_group : nullptr,
      .new_session = options.start_new_session,
      .death_signal = *options.parent_death_signal,
  };
  int error = 0;
  call_in_lasting_thread([&] { error = sys::start_child(&plan); });
  pid = plan.pid;
  return error;
}

std::string describe(const std::string& program, const ProcessOptions& options) {
  std::string text = "cannot start '" + program + "'";
  if (!options.cwd.empty()) text += " in the directory '" + options.cwd + "'";
  return text;
}

void open_pidfd(Spawned& spawned) {
  const int fd = sys::pidfd_open(spawned.pid);
  spawned.reaped = fd < 0 && errno == ESRCH;
  spawned.pidfd = PlainFd(fd);
}

}  // namespace

Spawned spawn_process(const std::vector<std::string>& command, const ProcessOptions& options,
                      const void* mask) {
  reap_left();
  Spawned spawned;
  spawned.args = command;
  spawned.place.push_back(-1);
  std::vector<std::string> words = command;
  if (options.shell) words.insert(words.begin(), {"/bin/sh", "-c"});
  const std::string program = options.executable.empty() ? words.front() : options.executable;

  std::vector<PlainFd> passed;
  ChildStreams streams;
  streams.add(STDIN_FILENO, options.stdin, spawned);
  streams.add(STDOUT_FILENO, options.stdout, spawned);
  streams.add(STDERR_FILENO, options.stderr, spawned);
  Actions actions;
  streams.put(actions);
  for (const int fd : options.pass_fds) {
    // In the child the error would be the program's.
    if (sys::fcntl(fd, F_GETFD, 0) < 0) {
      throw_system_error(errno, "fd " + std::to_string(fd) + " for a child");
    }
    PlainFd again = blocking_if_possible(fd);
    actions.dup2(again.get() >= 0 ? again.get() : fd, fd);
    passed.push_back(std::move(again));
  }
  actions.close_all_but(options.pass_fds);
  if (!options.cwd.empty()) actions.chdir(options.cwd);

  const auto& signals = *static_cast<const sigset_t*>(mask);
  const Attributes attributes(options, signals);
  const StringArray argv(std::move(words));
  const StringArray env(options.env ? as_lines(*options.env) : std::vector<std::string>());
  char* const* const environment = options.env ? env.get() : environ;
  const int error =
      options.parent_death_signal
          ? start_tied({program, argv.get(), environment}, actions, options, signals, spawned.pid)
          : sys::posix_spawnp(&spawned.pid, program.c_str(), actions.get(), attributes.get(),
                              argv.get(), environment);
  if (error != 0) throw_system_error(error, describe(program, options));
  spawned.place.front() = spawned.pid;
  open_pidfd(spawned);
  return spawned;
}

}  // namespace weft::fibers::detail
