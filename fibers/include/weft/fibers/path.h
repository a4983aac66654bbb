// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Paths, and operations on the files behind them. Each operation runs in a worker thread.
//
//   const Path log = Path::home() / "logs";
//   log.mkdir({.parents = true, .exist_ok = true});
//   for (const Path& old : log.glob("*.log.?")) old.unlink();
//   (log / "today.log").write_text("started\n");
//
// (Trio: Path, with the names of Python's pathlib.)

#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/fibers/file.h"

namespace weft::fibers {

// (Python: os.stat_result.)
struct StatResult {
  std::uint32_t st_mode = 0;  // Kind and permissions, as in <sys/stat.h>.
  std::uint64_t st_ino = 0;
  std::uint64_t st_dev = 0;
  std::uint64_t st_nlink = 0;
  std::uint32_t st_uid = 0;
  std::uint32_t st_gid = 0;
  std::int64_t st_size = 0;
  // Not st_atime and so on: to <sys/stat.h> these are macros.
  std::chrono::system_clock::time_point atime = {};
  std::chrono::system_clock::time_point mtime = {};
  std::chrono::system_clock::time_point ctime = {};
};

struct MkdirOptions {
  unsigned mode = 0777;  // The umask applies.
  bool parents = false;  // Also create missing parents.
  bool exist_ok = false;
};
struct TouchOptions {
  unsigned mode = 0666;  // Of a new file. The umask applies.
  bool exist_ok = true;
};
struct UnlinkOptions {
  bool missing_ok = false;
};

// A value: the text of a path, without empty parts, "." parts and trailing slashes. "" becomes ".".
// Throws UsageError for text that contains a zero byte.
class Path {
 public:
  Path() : Path("") {}
  Path(const std::filesystem::path& path);  // NOLINT(google-explicit-constructor)
  Path(const std::string& path) : Path(std::filesystem::path(path)) {}  // NOLINT
  Path(const char* path) : Path(std::filesystem::path(path)) {}         // NOLINT
  operator const std::filesystem::path&() const { return path_; }       // NOLINT

  // --- The text alone. ---

  std::string string() const { return path_.string(); }
  std::string as_posix() const { return path_.string(); }
  // "file:///a%20b". Throws UsageError for a relative path.
  std::string as_uri() const;
  bool is_absolute() const { return path_.is_absolute(); }
  std::vector<std::string> parts() const;
  // The directory that contains it. "/" and "." are their own parents.
  Path parent() const;
  std::vector<Path> parents() const;  // The nearest first.
  // The last part, the last part without its suffix, and the suffix. The suffix of "a.tar.gz" is
  // ".gz".
  std::string name() const;
  std::string stem() const;
  std::string suffix() const;

  Path joinpath(const Path& other) const { return path_ / other.path_; }
  friend Path operator/(const Path& a, const Path& b) { return a.joinpath(b); }
  // The same path with another last part, stem or suffix. They throw UsageError if there is nothing
  // to replace, or if the new part contains a slash.
  Path with_name(const std::string& name) const;
  Path with_stem(const std::string& stem) const;
  Path with_suffix(const std::string& suffix) const;
  // Throws UsageError if this path does not begin with `base`.
  Path relative_to(const Path& base) const;
  bool is_relative_to(const Path& base) const;

  friend bool operator==(const Path&, const Path&) = default;
  friend std::strong_ordering operator<=>(const Path& a, const Path& b) {
    return a.path_.compare(b.path_) <=> 0;
  }

  // --- The files behind it. Failures are std::system_error that names the path, or both. ---

  static Path cwd();
  // Throws UsageError if neither $HOME nor the user database has one.
  static Path home();

  // Read or write a whole file. Writing replaces the old content, and returns the number of bytes
  // written.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; a call that has begun is waited for.
  // Threads: the run's own only.
  std::string read_text() const;
  std::vector<std::byte> read_bytes() const;
  std::size_t write_text(std::string_view data) const;
  std::size_t write_bytes(std::span<const std::byte> data) const;
  File open(const std::string& mode = "r") const;

  // A link that leads nowhere counts as a file that does not exist.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; a call that has begun is waited for.
  // Threads: the run's own only.
  bool exists() const;
  bool is_file() const;
  bool is_dir() const;
  bool is_symlink() const;
  bool is_socket() const;
  bool is_fifo() const;
  bool is_block_device() const;
  bool is_char_device() const;
  bool is_mount() const;
  bool samefile(const Path& other) const;
  // stat() describes the file that a link leads to, lstat() the link itself.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; a call that has begun is waited for.
  // Threads: the run's own only.
  StatResult stat() const;
  StatResult lstat() const;
  std::string owner() const;
  std::string group() const;

  // The entries of a directory, sorted by name.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; a call that has begun is waited for.
  // Threads: the run's own only.
  std::vector<Path> iterdir() const;
  // The files below this directory that match. `*`, `?` and `[...]` match within one part of a
  // path, `**` matches any number of directories. rglob() searches all directories below.
  // Directories that cannot be read are skipped.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; a call that has begun is waited for.
  // Threads: the run's own only.
  std::vector<Path> glob(const std::string& pattern) const;
  std::vector<Path> rglob(const std::string& pattern) const;

  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; a call that has begun is waited for.
  // Threads: the run's own only.
  void mkdir(const MkdirOptions& options = {}) const;
  void rmdir() const;  // Must be empty.
  void touch(const TouchOptions& options = {}) const;
  void chmod(unsigned mode) const;
  void unlink(const UnlinkOptions& options = {}) const;
  // Both replace an existing `target`, and return it.
  Path rename(const Path& target) const;
  Path replace(const Path& target) const { return rename(target); }
  // Make this a link to `target`.
  void symlink_to(const Path& target) const;
  void hardlink_to(const Path& target) const;

  // readlink() returns the text of a link. absolute() puts cwd() before a relative path. resolve()
  // follows all links and removes "..", as far as the files exist; with `strict` it throws where
  // one does not. expanduser() replaces "~" or "~name" at the beginning.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; a call that has begun is waited for.
  // Threads: the run's own only.
  Path readlink() const;
  Path absolute() const;
  Path resolve(bool strict = false) const;
  Path expanduser() const;

 private:
  std::filesystem::path path_;
};

}  // namespace weft::fibers

template <>
struct std::hash<weft::fibers::Path> {
  std::size_t operator()(const weft::fibers::Path& path) const noexcept {
    return std::filesystem::hash_value(path);
  }
};
