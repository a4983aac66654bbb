// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What is behind paths. Each function is one call in a worker thread.

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <system_error>

#include "fibers/src/file/glob.h"
#include "fibers/src/file/stdio_file.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/path.h"

namespace weft::fibers {

namespace fs = std::filesystem;
using detail::in_file_thread;
using detail::StdioFile;
using detail::throw_file_error;

namespace {

std::chrono::system_clock::time_point time_of(const timespec& time) {
  const auto since = std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(since));
}

StatResult as_result(const struct stat& found) {
  return {.st_mode = found.st_mode,
          .st_ino = found.st_ino,
          .st_dev = found.st_dev,
          .st_nlink = found.st_nlink,
          .st_uid = found.st_uid,
          .st_gid = found.st_gid,
          .st_size = found.st_size,
          .atime = time_of(found.st_atim),
          .mtime = time_of(found.st_mtim),
          .ctime = time_of(found.st_ctim)};
}

template <class Look>
StatResult look_at(const fs::path& path, const Look& look) {
  struct stat found {};
  if (look(path.c_str(), &found) != 0) throw_file_error(errno, "look at", path);
  return as_result(found);
}

bool means_absent(int error) {
  return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

// Nothing if there is no such file.
std::optional<mode_t> mode_of(const fs::path& path) {
  struct stat found {};
  if (sys::stat(path.c_str(), &found) == 0) return found.st_mode;
  if (means_absent(errno)) return {};
  throw_file_error(errno, "look at", path);
}

bool is_of(const fs::path& path, mode_t type) {
  return in_file_thread([&] { return (mode_of(path).value_or(0) & S_IFMT) == type; });
}

// For calls that return -1 and set errno.
void call_on(const fs::path& path, const char* what, int result) {
  if (result != 0) throw_file_error(errno, what, path);
}

// For those with two paths, either of which may be to blame.
void call_on_both(const char* what, const fs::path& path, const char* preposition,
                  const fs::path& other, int result) {
  if (result != 0)
    throw_file_error(errno, what, path.native() + "' " + preposition + " '" + other.native());
}

// An entry of the user or group database, found by `find(buffer)`.
template <class Find>
auto find_entry(Find&& find) {
  std::vector<char> buffer(16384);
  return find(buffer);
}

std::optional<std::string> home_of(const char* user) {
  return find_entry([user](std::vector<char>& buffer) -> std::optional<std::string> {
    passwd entry{};
    passwd* found = nullptr;
    const int error =
        user != nullptr
            ? sys::getpwnam_r(user, &entry, buffer.data(), buffer.size(), &found)
            : sys::getpwuid_r(sys::getuid(), &entry, buffer.data(), buffer.size(), &found);
    if (error != 0 || found == nullptr) return std::nullopt;
    return found->pw_dir;
  });
}

std::optional<std::string> own_home() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): as every program does.
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') return home;
  return home_of(nullptr);
}

std::string user_name(std::uint32_t uid, const fs::path& path) {
  return find_entry([&](std::vector<char>& buffer) -> std::string {
    passwd entry{};
    passwd* found = nullptr;
    sys::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
    if (found == nullptr) throw_file_error(ENOENT, "name the owner of", path);
    return found->pw_name;
  });
}

std::string group_name(std::uint32_t gid, const fs::path& path) {
  return find_entry([&](std::vector<char>& buffer) -> std::string {
    ::group entry{};
    ::group* found = nullptr;
    sys::getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found);
    if (found == nullptr) throw_file_error(ENOENT, "name the group of", path);
    return found->gr_name;
  });
}

std::vector<Path> as_paths(std::vector<fs::path> paths) {
  return {paths.begin(), paths.end()};
}

void make_directory(const fs::path& path, const MkdirOptions& options) {
  if (sys::mkdir(path.c_str(), static_cast<mode_t>(options.mode)) == 0) return;
  const int error = errno;
  if (error == ENOENT && options.parents && path.has_parent_path() && path.parent_path() != path) {
    make_directory(path.parent_path(), {.parents = true, .exist_ok = true});
    return make_directory(path, {.mode = options.mode, .exist_ok = options.exist_ok});
  }
  struct stat found {};
  if (options.exist_ok && sys::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode)) return;
  throw_file_error(error, "make the directory", path);
}

std::size_t write_file(const fs::path& path, std::span<const std::byte> data) {
  return in_file_thread([&] {
    StdioFile file = StdioFile::open(path, "w");
    file.write(data);
    file.close();
    return data.size();
  });
}

void touch_file(const fs::path& path, const TouchOptions& options) {
  const int exclusive = options.exist_ok ? 0 : O_EXCL;
  const auto open_it = [&] {
    return sys::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | exclusive,
                     static_cast<mode_t>(options.mode));
  };
  const int fd = sys::uninterrupted(open_it);
  if (fd >= 0) {
    const int failed = sys::futimens(fd, nullptr);
    const int error = errno;
    sys::close(fd);
    if (failed != 0) throw_file_error(error, "touch", path);
    return;
  }
  const int error = errno;
  // What is there and cannot be opened for writing, a directory say, can still be touched.
  if (options.exist_ok && sys::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0) return;
  throw_file_error(error, "touch", path);
}

}  // namespace

Path Path::cwd() {
  return sys::throwing("getcwd", [] { return fs::current_path(); });
}

Path Path::home() {
  if (auto home = own_home()) return *home;
  throw UsageError("there is no home directory: set HOME");
}

std::string Path::read_text() const {
  return in_file_thread([this] { return StdioFile::open(path_, "r").read(File::kAll); });
}

std::vector<std::byte> Path::read_bytes() const {
  return in_file_thread([this] {
    const std::string data = StdioFile::open(path_, "r").read(File::kAll);
    const auto bytes = std::as_bytes(std::span(data));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  });
}

std::size_t Path::write_text(std::string_view data) const {
  return write_file(path_, std::as_bytes(std::span(data)));
}
std::size_t Path::write_bytes(std::span<const std::byte> data) const {
  return write_file(path_, data);
}

File Path::open(const std::string& mode) const {
  return open_file(path_, mode);
}

bool Path::exists() const {
  return in_file_thread([this] { return mode_of(path_).has_value(); });
}
bool Path::is_file() const {
  return is_of(path_, S_IFREG);
}
bool Path::is_dir() const {
  return is_of(path_, S_IFDIR);
}
bool Path::is_socket() const {
  return is_of(path_, S_IFSOCK);
}
bool Path::is_fifo() const {
  return is_of(path_, S_IFIFO);
}
bool Path::is_block_device() const {
  return is_of(path_, S_IFBLK);
}
bool Path::is_char_device() const {
  return is_of(path_, S_IFCHR);
}
bool Path::is_symlink() const {
  return in_file_thread([this] {
    struct stat found {};
    return sys::lstat(path_.c_str(), &found) == 0 && S_ISLNK(found.st_mode);
  });
}

// A directory on another device than the one above it, or the root.
bool Path::is_mount() const {
  return in_file_thread([this] {
    if (!S_ISDIR(mode_of(path_).value_or(0))) return false;
    const StatResult here = look_at(path_, sys::lstat);
    const StatResult above = look_at(path_ / "..", sys::lstat);
    return here.st_dev != above.st_dev || here.st_ino == above.st_ino;
  });
}

bool Path::samefile(const Path& other) const {
  return in_file_thread([&] {
    const StatResult a = look_at(path_, sys::stat);
    const StatResult b = look_at(other.path_, sys::stat);
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
  });
}

StatResult Path::stat() const {
  return in_file_thread([this] { return look_at(path_, sys::stat); });
}
StatResult Path::lstat() const {
  return in_file_thread([this] { return look_at(path_, sys::lstat); });
}
std::string Path::owner() const {
  return in_file_thread([this] { return user_name(look_at(path_, sys::stat).st_uid, path_); });
}
std::string Path::group() const {
  return in_file_thread([this] { return group_name(look_at(path_, sys::stat).st_gid, path_); });
}

std::vector<Path> Path::iterdir() const {
  return as_paths(in_file_thread([this] { return detail::list_directory(path_); }));
}
std::vector<Path> Path::glob(const std::string& pattern) const {
  return as_paths(in_file_thread([&] { return detail::glob(path_, pattern); }));
}
std::vector<Path> Path::rglob(const std::string& pattern) const {
  return glob("**/" + pattern);
}

void Path::mkdir(const MkdirOptions& options) const {
  in_file_thread([&] { make_directory(path_, options); });
}
void Path::rmdir() const {
  in_file_thread([this] { call_on(path_, "remove the directory", sys::rmdir(path_.c_str())); });
}
void Path::touch(const TouchOptions& options) const {
  in_file_thread([&] { touch_file(path_, options); });
}
void Path::chmod(unsigned mode) const {
  in_file_thread([&] {
    call_on(path_, "change the mode of", sys::chmod(path_.c_str(), static_cast<mode_t>(mode)));
  });
}
void Path::unlink(const UnlinkOptions& options) const {
  in_file_thread([&] {
    const int result = sys::unlink(path_.c_str());
    if (result != 0 && errno == ENOENT && options.missing_ok) return;
    call_on(path_, "remove", result);
  });
}
Path Path::rename(const Path& target) const {
  in_file_thread([&] {
    call_on_both("rename", path_, "to", target.path_,
                 sys::rename(path_.c_str(), target.path_.c_str()));
  });
  return target;
}
void Path::symlink_to(const Path& target) const {
  in_file_thread([&] {
    call_on_both("make the link", path_, "to", target.path_,
                 sys::symlink(target.path_.c_str(), path_.c_str()));
  });
}
void Path::hardlink_to(const Path& target) const {
  in_file_thread([&] {
    call_on_both("make the link", path_, "to", target.path_,
                 sys::link(target.path_.c_str(), path_.c_str()));
  });
}

Path Path::readlink() const {
  return in_file_thread(
      [this] { return sys::throwing("readlink", [this] { return fs::read_symlink(path_); }); });
}
Path Path::absolute() const {
  return in_file_thread(
      [this] { return sys::throwing("getcwd", [this] { return fs::absolute(path_); }); });
}
Path Path::resolve(bool strict) const {
  return in_file_thread([&] {
    return sys::throwing("realpath", [&] {
      return strict ? fs::canonical(path_) : fs::weakly_canonical(fs::absolute(path_));
    });
  });
}

Path Path::expanduser() const {
  const std::string first = path_.begin()->string();
  if (first.empty() || first.front() != '~') return *this;
  const auto home =
      in_file_thread([&] { return first == "~" ? own_home() : home_of(first.substr(1).c_str()); });
  if (!home) throw UsageError("there is no home directory for '" + first + "'");
  fs::path expanded = *home;
  for (auto part = std::next(path_.begin()); part != path_.end(); ++part) expanded /= *part;
  return expanded;
}

}  // namespace weft::fibers
