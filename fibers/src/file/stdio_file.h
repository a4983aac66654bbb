// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// C files with errors that name the file. All calls block the thread, and belong into a worker.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "weft/fibers/file.h"
#include "weft/fibers/lock.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers::detail {

[[noreturn]] void throw_file_error(int error, const char* what, const std::string& name);

// Owns a C file. What the standard leaves undefined, reading right after writing and the other way
// round, is defined here.
class StdioFile {
 public:
  StdioFile(std::FILE* file, std::string name) : file_(file), name_(std::move(name)) {}
  static StdioFile open(const std::string& path, const std::string& mode);
  StdioFile(StdioFile&& other) noexcept
      : file_(std::exchange(other.file_, nullptr)), name_(std::move(other.name_)) {}
  StdioFile& operator=(StdioFile&&) = delete;
  ~StdioFile();

  std::size_t read_into(std::span<std::byte> buffer);
  std::string read(std::size_t size);
  std::string read_line();
  void write(std::span<const std::byte> data);
  void flush();
  std::int64_t seek(std::int64_t offset, int whence);
  std::int64_t tell();
  std::int64_t truncate(std::optional<std::int64_t> size);
  void close();
  std::FILE* release() { return std::exchange(file_, nullptr); }

  bool is_open() const { return file_ != nullptr; }
  std::FILE* get() const { return file_; }
  const std::string& name() const { return name_; }

 private:
  enum class Last { kNeither, kRead, kWrite };
  void turn_to(Last next);

  std::FILE* file_;
  std::string name_;
  Last last_ = Last::kNeither;
};

struct FileState {
  explicit FileState(StdioFile&& opened) : file(std::move(opened)) {}
  StdioFile file;
  Lock lock;
};

template <class F>
auto in_file_thread(F&& fn) {
  return to_thread::run_sync(std::forward<F>(fn), {.thread_name = "file"});
}

}  // namespace weft::fibers::detail
