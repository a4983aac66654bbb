// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/file/glob.h"

#include <fnmatch.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <string_view>
#include <system_error>

#include "fibers/src/file/stdio_file.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/errors.h"

namespace weft::fibers::detail {

namespace fs = std::filesystem;

namespace {

using Parts = std::vector<std::string>;

bool is_literal(const std::string& part) {
  return part.find_first_of("*?[") == std::string::npos;
}

class Search {
 public:
  explicit Search(const Parts& parts) : parts_(parts) {}

  // What matches from part `i` on, in `directory`.
  void look(const fs::path& directory, std::size_t i) {
    if (i == parts_.size()) {
      found.insert(directory);
    } else if (parts_[i] == "**") {
      look_below(directory, i + 1);
    } else if (is_literal(parts_[i])) {
      const fs::path next = directory / parts_[i];
      struct stat status {};
      if (sys::lstat(next.c_str(), &status) == 0) look(next, i + 1);
    } else {
      look_at_each(directory, i);
    }
  }

  std::set<fs::path> found;

 private:
  static std::vector<fs::path> entries_of(const fs::path& directory) {
    try {
      return list_directory(directory);
    } catch (const std::system_error&) {
      return {};  // No directory, or none that may be read.
    }
  }

  void look_at_each(const fs::path& directory, std::size_t i) {
    for (const fs::path& entry : entries_of(directory)) {
      if (::fnmatch(parts_[i].c_str(), entry.filename().c_str(), 0) == 0) look(entry, i + 1);
    }
  }

  // In `directory` and all below it; not through links, which may lead in a circle.
  void look_below(const fs::path& directory, std::size_t i) {
    look(directory, i);
    for (const fs::path& entry : entries_of(directory)) {
      struct stat status {};
      if (sys::lstat(entry.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) look_below(entry, i);
    }
  }

  const Parts& parts_;
};

Parts split(const std::string& pattern) {
  const fs::path path(pattern);
  if (pattern.empty() || path.is_absolute()) {
    throw UsageError("'" + pattern + "' is not a pattern for glob(): it must be relative");
  }
  if (pattern.find('\0') != std::string::npos) {
    throw UsageError("a pattern for glob() must not contain a zero byte");
  }
  Parts parts;
  for (const fs::path& part : path) {
    if (!part.empty() && part != ".") parts.push_back(part);
  }
  return parts;
}

}  // namespace

namespace {

// Not std::filesystem's: libstdc++ 12's ends the process when it finds no memory.
class OpenDirectory {
 public:
  explicit OpenDirectory(const fs::path& path)
      : path_(path), directory_(sys::opendir(path.c_str())) {
    if (directory_ == nullptr) throw_file_error(errno, "list", path_);
  }
  OpenDirectory(const OpenDirectory&) = delete;
  OpenDirectory& operator=(const OpenDirectory&) = delete;
  ~OpenDirectory() { sys::closedir(directory_); }

  const dirent* next() const {
    errno = 0;
    const dirent* const entry = sys::readdir(directory_);
    if (entry == nullptr && errno != 0) throw_file_error(errno, "list", path_);
    return entry;
  }

 private:
  const fs::path& path_;
  DIR* directory_;
};

}  // namespace

std::vector<fs::path> list_directory(const fs::path& directory) {
  std::vector<fs::path> entries;
  const OpenDirectory opened(directory);
  while (const dirent* entry = opened.next()) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") entries.push_back(directory / name);
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

std::vector<fs::path> glob(const fs::path& base, const std::string& pattern) {
  const Parts parts = split(pattern);
  Search search(parts);
  search.look(base, 0);
  return {search.found.begin(), search.found.end()};
}

}  // namespace weft::fibers::detail
