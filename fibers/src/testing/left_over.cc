// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/left_over.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <string_view>
#include <thread>
#include <utility>

#include "weft/fibers/inspect.h"
#include "weft/fibers/run.h"

namespace weft::fibers::testing {

namespace {

// For a thread that a run has abandoned to let go of what it holds.
constexpr auto kPatience = std::chrono::milliseconds(500);

// A file that is deleted meanwhile stays the same.
std::string target_of(int folder, const char* entry) {
  std::array<char, 256> text;
  const ssize_t size = ::readlinkat(folder, entry, text.data(), text.size());
  std::string_view target(text.data(), size < 0 ? 0 : static_cast<std::size_t>(size));
  constexpr std::string_view kDeleted = " (deleted)";
  if (target.ends_with(kDeleted)) target.remove_suffix(kDeleted.size());
  return target.empty() ? "?" : std::string(target);
}

// The symbolizer keeps the files open in which it has looked for a function, some of them, and
// changes its mind about which.
bool is_symbolizers(const std::string& target) {
  static const std::string program = [] {
    std::array<char, 4096> path;
    const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
    return std::string(path.data(), size < 0 ? 0 : static_cast<std::size_t>(size));
  }();
  return target == program || target.ends_with(".so") || target.find(".so.") != target.npos ||
         target.ends_with(".debug");
}

// Where none is free to look into the folder with: that is what is left over.
std::map<int, std::string> try_each_descriptor() {
  std::map<int, std::string> open;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  // Some may be from before the limit was lowered; and there may be none.
  const auto end = static_cast<int>(std::clamp<rlim_t>(limit.rlim_cur, 4096, 1U << 20U));
  for (int fd = 0; fd < end; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) continue;
    std::string target = target_of(AT_FDCWD, ("/proc/self/fd/" + std::to_string(fd)).c_str());
    if (!is_symbolizers(target)) open.emplace(fd, std::move(target));
  }
  return open;
}

std::map<int, std::string> open_descriptors() {
  std::map<int, std::string> open;
  DIR* const folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return try_each_descriptor();
  const int own = ::dirfd(folder);
  while (const dirent* entry = ::readdir(folder)) {
    const std::string_view name = entry->d_name;
    int fd = -1;
    std::from_chars(name.data(), name.data() + name.size(), fd);
    if (fd < 0 || fd == own) continue;
    std::string target = target_of(own, entry->d_name);
    if (!is_symbolizers(target)) open.emplace(fd, std::move(target));
  }
  ::closedir(folder);
  return open;
}

std::string line_of(const std::pair<const int, std::string>& descriptor, const char* what) {
  return "descriptor " + std::to_string(descriptor.first) + ", " + descriptor.second + ", " + what +
         "\n";
}

// What is open on something else than before was closed and opened again by somebody else.
std::string difference(const std::map<int, std::string>& before,
                       const std::map<int, std::string>& now) {
  std::string text;
  for (const auto& descriptor : now) {
    const auto was = before.find(descriptor.first);
    if (was == before.end() || was->second != descriptor.second)
      text += line_of(descriptor, "is left over");
  }
  for (const auto& descriptor : before) {
    if (now.count(descriptor.first) == 0)
      text += line_of(descriptor, "was open before and has been closed");
  }
  return text;
}

}  // namespace

LeftOver::LeftOver() : stacks_(stack_statistics().in_use), descriptors_(open_descriptors()) {
  for (const LivingTask& task : living_tasks()) tasks_.insert(task.id);
}

// What no other thread will take away any more.
std::string LeftOver::look_here() const {
  std::string text;
  for (const LivingTask& task : living_tasks()) {
    if (tasks_.count(task.id) == 0) text += task.describe() + ", is left over\n";
  }
  if (const std::size_t stacks = stack_statistics().in_use; stacks > stacks_) {
    text += "stacks are left over, of tasks or of greenlets: " + std::to_string(stacks - stacks_) +
            "\n";
  }
  return text;
}

std::string LeftOver::find() const {
  using Clock = std::chrono::steady_clock;
  const std::string here = look_here();
  std::string text = difference(descriptors_, open_descriptors());
  for (const auto until = Clock::now() + kPatience; !text.empty() && Clock::now() < until;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    text = difference(descriptors_, open_descriptors());
  }
  return here + text;
}

}  // namespace weft::fibers::testing
