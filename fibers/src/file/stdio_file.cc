// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/file/stdio_file.h"

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "fibers/sys/sys.h"
#include "weft/fibers/errors.h"

namespace weft::fibers::detail {

namespace {

constexpr std::size_t kChunk = 65536;

// What fopen() calls it. Always close-on-exec.
std::string stdio_mode(const std::string& mode) {
  std::string wanted = mode;
  std::erase_if(wanted, [](char c) { return c == 'b' || c == 't'; });
  const std::string kind = wanted.substr(0, 1);
  const std::string rest = wanted.substr(kind.size());
  if (kind.find_first_of("rwax") == std::string::npos || (!rest.empty() && rest != "+")) {
    throw UsageError("'" + mode +
                     "' is not a mode for open_file(): use r, w, a or x, perhaps with a +");
  }
  return (kind == "x" ? "w" + rest + "x" : wanted) + "e";
}

// A signal came to this thread, of all the threads that there are.
bool interrupted(std::FILE* file) {
  if (errno != EINTR) return false;
  std::clearerr(file);
  return true;
}

}  // namespace

void throw_file_error(int error, const char* what, const std::string& name) {
  throw std::system_error(error, std::generic_category(),
                          std::string("cannot ") + what + " '" + name + "'");
}

StdioFile StdioFile::open(const std::string& path, const std::string& mode) {
  const std::string wanted = stdio_mode(mode);
  if (path.find('\0') != std::string::npos) {
    throw UsageError("a path must not contain a zero byte");
  }
  std::string name = path;  // Before there is a file to lose.
  std::FILE* file = sys::uninterrupted([&] { return sys::fopen(path.c_str(), wanted.c_str()); });
  if (file == nullptr) throw_file_error(errno, "open", path);
  // C's a+ reads from the beginning, Python's from the end. What has no end need not have one.
  if (wanted.front() == 'a') sys::fseeko(file, 0, SEEK_END);
  return {file, std::move(name)};
}

StdioFile::~StdioFile() {
  if (file_ != nullptr) sys::fclose(file_);
}

void StdioFile::turn_to(Last next) {
  const Last before = std::exchange(last_, next);
  if (before == Last::kWrite && next == Last::kRead) flush();
  // Forgets what has been read ahead. A pipe cannot do that, nor need it.
  if (before == Last::kRead && next == Last::kWrite) sys::fseeko(file_, 0, SEEK_CUR);
}

std::size_t StdioFile::read_into(std::span<std::byte> buffer) {
  turn_to(Last::kRead);
  // A terminal's end is the end of one reading only.
  std::clearerr(file_);
  std::size_t done = 0;
  while (done < buffer.size()) {
    const auto rest = buffer.subspan(done);
    done += sys::fread(rest.data(), 1, rest.size(), file_);
    if (std::feof(file_) != 0) break;
    if (std::ferror(file_) != 0 && !interrupted(file_)) throw_file_error(errno, "read", name_);
  }
  return done;
}

std::string StdioFile::read(std::size_t size) {
  std::string data;
  // In growing steps: `size` may be far more than there is.
  for (std::size_t chunk = kChunk; data.size() < size; chunk = std::max(chunk, data.size())) {
    const std::size_t before = data.size();
    data.resize(before + std::min(chunk, size - before));
    const std::size_t got = read_into(std::as_writable_bytes(std::span(data)).subspan(before));
    const bool at_end = before + got < data.size();
    data.resize(before + got);
    if (at_end) break;
  }
  return data;
}

std::string StdioFile::read_line() {
  turn_to(Last::kRead);
  std::clearerr(file_);
  struct Line {
    char* data = nullptr;
    std::size_t capacity = 0;
    ~Line() { std::free(data); }
  } line;
  // A signal cuts a line in two. Any other error does so as well, and must not pass for its end.
  std::string text;
  do {
    const ssize_t size = sys::getline(&line.data, &line.capacity, file_);
    if (size > 0) text.append(line.data, static_cast<std::size_t>(size));
    if (std::ferror(file_) == 0) return text;
  } while (interrupted(file_));
  throw_file_error(errno, "read", name_);
}

void StdioFile::write(std::span<const std::byte> data) {
  turn_to(Last::kWrite);
  std::clearerr(file_);
  while (!data.empty()) {
    data = data.subspan(sys::fwrite(data.data(), 1, data.size(), file_));
    if (!data.empty() && !interrupted(file_)) throw_file_error(errno, "write to", name_);
  }
}

void StdioFile::flush() {
  while (sys::fflush(file_) != 0) {
    if (!interrupted(file_)) throw_file_error(errno, "write to", name_);
  }
}

std::int64_t StdioFile::seek(std::int64_t offset, int whence) {
  if (sys::fseeko(file_, offset, whence) != 0) throw_file_error(errno, "seek in", name_);
  last_ = Last::kNeither;
  return tell();
}

std::int64_t StdioFile::tell() {
  const off_t position = sys::ftello(file_);
  if (position < 0) throw_file_error(errno, "tell the position in", name_);
  return position;
}

std::int64_t StdioFile::truncate(std::optional<std::int64_t> size) {
  flush();
  const std::int64_t length = size ? *size : tell();
  if (sys::uninterrupted([&] { return sys::ftruncate(::fileno(file_), length); }) != 0) {
    throw_file_error(errno, "truncate", name_);
  }
  return length;
}

void StdioFile::close() {
  // Apart, for closing does not try again, and what it could not write would be lost.
  int error = 0;
  while (error == 0 && last_ == Last::kWrite && sys::fflush(file_) != 0) {
    if (!interrupted(file_)) error = errno;
  }
  // Whatever it returns: the file is gone.
  const int closed = sys::fclose(std::exchange(file_, nullptr));
  if (error == 0 && closed != 0 && errno != EINTR) error = errno;
  if (error != 0) throw_file_error(error, "close", name_);
}

}  // namespace weft::fibers::detail
