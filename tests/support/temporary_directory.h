// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A directory for one test.

#pragma once

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <string>
#include <system_error>

namespace weft::test {

// Empty at first, removed at the end with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "weft_test_XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::system_error(errno, std::generic_category(), "mkdtemp");
    }
    path_ = name;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    try {
      std::filesystem::remove_all(path_, ignored);
    } catch (const std::bad_alloc&) {
      std::filesystem::remove_all(path_, ignored);  // A sweep lets only one allocation fail.
    }
  }

  const std::filesystem::path& path() const { return path_; }
  friend std::string operator/(const TemporaryDirectory& directory, const std::string& name) {
    return directory.path_ / name;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace weft::test
