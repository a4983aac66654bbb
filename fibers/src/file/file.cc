// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/file.h"

#include <cerrno>
#include <utility>

#include "fibers/src/file/stdio_file.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"

namespace weft::fibers {

using detail::FileState;
using detail::in_file_thread;
using detail::StdioFile;

namespace {

class Locked {
 public:
  explicit Locked(Lock& lock) : lock_(lock) { lock_.acquire(); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
  ~Locked() { lock_.release(); }

 private:
  Lock& lock_;
};

void need_open(const StdioFile& file) {
  if (!file.is_open()) throw ClosedResourceError("the file '" + file.name() + "' is closed");
}

}  // namespace

File::File(std::FILE* file, std::string name)
    : state_(std::make_unique<FileState>(StdioFile(file, std::move(name)))) {}
File::File(File&&) noexcept = default;
File& File::operator=(File&&) noexcept = default;
File::~File() = default;

FileState& File::open_state() const {
  if (state_ == nullptr) throw ClosedResourceError("this File has been moved from");
  need_open(state_->file);
  return *state_;
}

// Calls `in_thread(file)` when it is this task's turn.
template <class F>
auto File::call(F&& in_thread) {
  checkpoint_if_cancelled();
  FileState& state = open_state();
  const Locked locked(state.lock);
  need_open(state.file);
  return in_file_thread([&] { return in_thread(state.file); });
}

std::string File::read(std::size_t size) {
  return call([size](StdioFile& file) { return file.read(size); });
}

std::size_t File::readinto(std::span<std::byte> buffer) {
  return call([buffer](StdioFile& file) { return file.read_into(buffer); });
}

std::string File::readline() {
  return call([](StdioFile& file) { return file.read_line(); });
}

std::vector<std::string> File::readlines() {
  return call([](StdioFile& file) {
    std::vector<std::string> lines;
    for (std::string line = file.read_line(); !line.empty(); line = file.read_line()) {
      lines.push_back(std::move(line));
    }
    return lines;
  });
}

std::optional<std::string> File::next() {
  std::string line = readline();
  return line.empty() ? std::nullopt : std::optional(std::move(line));
}

void File::write(std::span<const std::byte> data) {
  call([data](StdioFile& file) { file.write(data); });
}
void File::write(std::string_view data) {
  write(std::as_bytes(std::span(data)));
}

void File::flush() {
  call([](StdioFile& file) { file.flush(); });
}

std::int64_t File::seek(std::int64_t offset, int whence) {
  return call([=](StdioFile& file) { return file.seek(offset, whence); });
}

std::int64_t File::tell() {
  return call([](StdioFile& file) { return file.tell(); });
}

std::int64_t File::truncate(std::optional<std::int64_t> size) {
  return call([size](StdioFile& file) { return file.truncate(size); });
}

void File::aclose() {
  if (!closed()) {
    CancelScope shield({.shield = true});
    shield.run([this] { close_in_thread(); });
  }
  checkpoint();
}

void File::close_in_thread() {
  try {
    const Locked locked(state_->lock);
    if (!closed()) in_file_thread([this] { state_->file.close(); });
  } catch (...) {
    // There was no thread to be had, or Ctrl-C came first: closed it is in any case, as long as no
    // other thread is using it.
    if (!closed() && !state_->lock.locked()) state_->file.close();
    throw;
  }
}

bool File::closed() const {
  return state_ == nullptr || !state_->file.is_open();
}

const std::string& File::name() const {
  if (state_ == nullptr) throw ClosedResourceError("this File has been moved from");
  return state_->file.name();
}

std::FILE* File::wrapped() const {
  return open_state().file.get();
}

int File::fileno() const {
  return ::fileno(wrapped());
}

File open_file(const std::filesystem::path& path, const std::string& mode) {
  std::string name = path;  // Before there is a file to lose.
  StdioFile opened = in_file_thread([&] { return StdioFile::open(path, mode); });
  return {opened.release(), std::move(name)};
}

File wrap_file(std::FILE* file, std::string name) {
  if (file == nullptr) throw UsageError("wrap_file() needs an open file");
  return {file, std::move(name)};
}

}  // namespace weft::fibers
