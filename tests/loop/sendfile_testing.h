// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of sendfile share.

#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "tests/support/temporary_directory.h"
#include "weft/loop/loop_sendfile.h"

namespace weft::loop::testing {

// No two places are alike.
inline std::string numbers(std::size_t size) {
  static const std::string all = [] {
    std::string text;
    for (int i = 0; text.size() < std::size_t{1} << 20; ++i) text += std::to_string(i) + ",";
    return text;
  }();
  return all.substr(0, size);
}

// A file that is open for reading.
class OpenFile {
 public:
  explicit OpenFile(std::string_view data) {
    const std::string path = directory_ / "file";
    std::ofstream(path, std::ios::binary) << data;
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_GE(fd_, 0);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { ::close(fd_); }
  int fd() const { return fd_; }
  std::int64_t position() const { return ::lseek(fd_, 0, SEEK_CUR); }

 private:
  test::TemporaryDirectory directory_;
  int fd_ = -1;
};

// A file that is no descriptor: sendfile(2) cannot send it.
class TextSource final : public SendfileSource {
 public:
  explicit TextSource(std::string text) : text_(std::move(text)) {}
  std::size_t read(std::int64_t offset, std::span<std::byte> buffer) override {
    const std::size_t at = std::min(text_.size(), static_cast<std::size_t>(offset));
    const std::size_t size = std::min(buffer.size(), text_.size() - at);
    std::memcpy(buffer.data(), text_.data() + at, size);
    return size;
  }
  void set_position(std::int64_t offset) noexcept override { position = offset; }
  std::int64_t position = -1;

 private:
  const std::string text_;
};

}  // namespace weft::loop::testing
