// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Files on a disk. The system cannot wait for them, so every call runs in a worker thread.
//
//   open_file("notes.txt", "r", [](File& file) {
//     for (const std::string& line : file) print(line);       // each with its '\n'
//   });                                                       // closed, whatever happened
//
// To read or write a whole file: path.h. (Trio: open_file, wrap_file.)

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/fibers/async_resource.h"
#include "weft/fibers/detail/item_iterator.h"

namespace weft::fibers {

namespace detail {
struct FileState;
}

// A C file with its buffer and its position. Several tasks may use it; their calls run one after
// the other. An error is a std::system_error that names the file. Calls on a closed file throw
// ClosedResourceError. A resource; it can be moved while nobody uses it. The destructor closes the
// file too, but it blocks the thread until what is left has been written, and it drops errors. So
// call aclose(), or use the form of open_file() that does.
class File final : public AsyncResource {
 public:
  static constexpr std::size_t kAll = static_cast<std::size_t>(-1);
  using Iterator = detail::ItemIterator<std::string, File>;

  // For open_file() and wrap_file().
  File(std::FILE* file, std::string name);
  File(File&&) noexcept;
  File& operator=(File&&) noexcept;
  ~File() override;

  // Reads `size` bytes, fewer only at the end: an empty string is the end.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; a call that has begun is waited for.
  // Threads: the run's own only.
  std::string read(std::size_t size = kAll);
  std::size_t readinto(std::span<std::byte> buffer);
  // Reads to the end of the line, with its '\n' if it has one. An empty string is the end.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; a call that has begun is waited for.
  // Threads: the run's own only.
  std::string readline();
  std::vector<std::string> readlines();
  // The same as readline(), but returns nothing at the end.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; a call that has begun is waited for.
  // Threads: the run's own only.
  std::optional<std::string> next();

  // Writes all of `data`. It goes into the file's buffer first.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; a call that has begun is waited for.
  // Threads: the run's own only.
  void write(std::string_view data);
  void write(std::span<const std::byte> data);
  // Hands the file's buffer to the system.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; a call that has begun is waited for.
  // Threads: the run's own only.
  void flush();

  // Moves the position. `whence` is SEEK_SET, SEEK_CUR or SEEK_END. Returns the new position.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; a call that has begun is waited for.
  // Threads: the run's own only.
  std::int64_t seek(std::int64_t offset, int whence = SEEK_SET);
  std::int64_t tell();
  // Makes the file `size` bytes long. By default it ends at the current position. The position does
  // not move. Returns the new length.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: before any effect; a call that has begun is waited for.
  // Threads: the run's own only.
  std::int64_t truncate(std::optional<std::int64_t> size = std::nullopt);

  // Writes what is left and closes. Idempotent.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: after closing.
  // Threads: the run's own only.
  void aclose() override;
  bool closed() const;
  // The path it was opened by.
  const std::string& name() const;
  // The C file, and its descriptor. Both throw ClosedResourceError on a closed file.
  std::FILE* wrapped() const;
  int fileno() const;

  // `for (std::string& line : file)`: each step is a next().
  //
  // Blocks: yes, each step is a checkpoint.
  // Cancel: before any effect; a call that has begun is waited for.
  // Threads: the run's own only.
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  detail::FileState& open_state() const;
  void close_in_thread();
  template <class F>
  auto call(F&& in_thread);

  std::unique_ptr<detail::FileState> state_;
};

// Opens a file. `mode` is Python's: r, w, a, or x for a file that must not exist yet. A + opens it
// for both directions; "b" and "t" have no effect. The descriptor is close-on-exec. Throws
// std::system_error that names the path; UsageError for another mode, and for a path that contains
// a zero byte.
//
// Blocks: yes, always a checkpoint; for as long as the system does: a FIFO, until somebody opens
// the other side.
// Cancel: before any effect; a call that has begun is waited for.
// Threads: the run's own only.
File open_file(const std::filesystem::path& path, const std::string& mode = "r");

// Takes over a C file. Errors call it `name`.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
File wrap_file(std::FILE* file, std::string name = "a wrapped file");

// Opens a file, runs `body(file)`, and closes the file whatever happens. Throws if closing fails.
// Returns what the body returns.
//
// Blocks: yes, always a checkpoint.
// Cancel: the body's affair; the file is closed in any case.
// Threads: the run's own only.
template <class F>
auto open_file(const std::filesystem::path& path, const std::string& mode, F&& body)
    -> std::invoke_result_t<F, File&> {
  File file = open_file(path, mode);
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<F, File&>>) {
      std::invoke(std::forward<F>(body), file);
      file.aclose();
    } else {
      decltype(auto) result = std::invoke(std::forward<F>(body), file);
      file.aclose();
      return result;
    }
  } catch (...) {
    // Only the body's error counts. An error of closing after it would hide it.
    aclose_forcefully(file);
    throw;
  }
}

}  // namespace weft::fibers
