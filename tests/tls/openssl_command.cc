// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/tls/openssl_command.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace weft::fibers {

namespace {

void need(bool ok, const char* what) {
  if (!ok) throw std::system_error(errno, std::generic_category(), what);
}

// 0: its input and output are pipes, whose other ends are not its own.
pid_t spawn(std::vector<std::string>& arguments, int input, int output) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output, 1);
  ::posix_spawn_file_actions_adddup2(&actions, output, 2);
  pid_t pid = -1;
  errno = ::posix_spawnp(&pid, "openssl", &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  need(errno == 0, "starting openssl");
  return pid;
}

}  // namespace

OpensslCommand::OpensslCommand()
    : folder_((std::filesystem::temp_directory_path() / "weft_XXXXXX").string()) {
  need(::mkdtemp(folder_.data()) != nullptr, "mkdtemp");
}

OpensslCommand::~OpensslCommand() {
  if (input_ >= 0) ::close(input_);
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  std::filesystem::remove_all(folder_);
}

std::string OpensslCommand::write(const std::string& name, const std::string& text) const {
  std::string path = folder_ + '/' + name;
  std::ofstream(path) << text;
  return path;
}

void OpensslCommand::start(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "openssl");
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  need(::pipe2(in.data(), O_CLOEXEC) == 0 && ::pipe2(out.data(), O_CLOEXEC) == 0, "pipe");
  input_ = in[1];
  ::fcntl(out[0], F_SETFL, O_NONBLOCK);
  output_ = OwnedFd(out[0]);
  pid_ = spawn(arguments, in[0], out[1]);
  ::close(in[0]);
  ::close(out[1]);
}

std::string OpensslCommand::read_until(const std::string& part) {
  std::string seen;
  for (;;) {
    const std::size_t end = unread_.find('\n');
    if (end != std::string::npos) {
      const std::string line = unread_.substr(0, end + 1);
      unread_.erase(0, end + 1);
      seen += line;
      if (line.find(part) != std::string::npos) return seen;
      continue;
    }
    std::array<char, 4096> buffer{};
    const ssize_t n = ::read(output_.get(), buffer.data(), buffer.size());
    if (n > 0) {
      unread_.append(buffer.data(), static_cast<std::size_t>(n));
    } else if (n < 0 && errno == EAGAIN) {
      output_.wait_readable();
    } else {
      return seen + unread_;
    }
  }
}

void OpensslCommand::say(const std::string& line) {
  need(::write(input_, line.data(), line.size()) == static_cast<ssize_t>(line.size()), "write");
}

}  // namespace weft::fibers
