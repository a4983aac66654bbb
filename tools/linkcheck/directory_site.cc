// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/site.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

#include "tools/linkcheck/http_message.h"
#include "tools/linkcheck/lack.h"
#include "tools/linkcheck/text.h"

namespace linkcheck {
namespace {

namespace fs = std::filesystem;

int status_of_error(int error) {
  if (is_lack(error)) throw_lack(error);
  return error == EACCES || error == EPERM ? 403 : 404;
}

bool has_hidden_step(std::string_view path) {
  while (!path.empty()) {
    const std::string_view step = take_until(path, '/');
    if (!step.empty() && step.front() == '.') return true;
  }
  return false;
}

std::string real_path(const std::string& path) {
  char* const resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return "";
  std::string result(resolved);
  std::free(resolved);
  return result;
}

// A decoded path as a URL's.
std::string encoded(std::string_view path) {
  std::string result;
  while (!path.empty()) {
    const bool last = path.find('/') == std::string_view::npos;
    result += percent_encoded_step(take_until(path, '/'));
    if (!last) result += '/';
  }
  return result;
}

struct Entry {
  std::string name;
  bool directory;
};

bool is_directory(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// The visible entries by name; nothing when the directory cannot be read.
std::vector<Entry> entries_of(const std::string& path) {
  std::vector<Entry> entries;
  DIR* const stream = ::opendir(path.c_str());
  if (stream == nullptr && is_lack(errno)) throw_lack(errno);
  if (stream == nullptr) return entries;
  while (const dirent* entry = ::readdir(stream)) {
    if (entry->d_name[0] == '.') continue;
    bool directory = entry->d_type == DT_DIR;
    if (entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) {
      directory = is_directory(path + "/" + entry->d_name);
    }
    entries.push_back({entry->d_name, directory});
  }
  ::closedir(stream);
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

std::string listing(const std::string& path, const std::vector<Entry>& entries) {
  const std::string title = html_escaped(path);
  std::string html = "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>" + title +
                     "</title></head>\n<body><h1>" + title + "</h1>\n<ul>\n";
  for (const Entry& entry : entries) {
    const char* const slash = entry.directory ? "/" : "";
    // "./" in front, because "a:b" alone would be a scheme.
    html += "<li><a href=\"./" + percent_encoded_step(entry.name) + slash + "\">" +
            html_escaped(entry.name) + slash + "</a></li>\n";
  }
  return html + "</ul></body></html>\n";
}

}  // namespace

OpenFile& OpenFile::operator=(OpenFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

OpenFile::~OpenFile() {
  if (fd_ >= 0) ::close(fd_);
}

std::size_t OpenFile::read_at(std::uint64_t offset, char* buffer, std::size_t size) const {
  while (true) {
    const ssize_t count = ::pread(fd_, buffer, size, static_cast<off_t>(offset));
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "pread");
  }
}

DirectorySite::DirectorySite(const std::string& root, const DirectoryOptions& options)
    : root_(real_path(root)), options_(options) {
  if (root_.empty()) throw std::system_error(errno, std::generic_category(), root);
  struct stat status {};
  if (::stat(root_.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
    throw std::system_error(ENOTDIR, std::generic_category(), root);
  }
  if (::access(root_.c_str(), R_OK | X_OK) != 0) {
    throw std::system_error(errno, std::generic_category(), root);
  }
  if (root_ == "/") root_.clear();
}

bool DirectorySite::is_inside(const std::string& real) const {
  return real == root_ || real.compare(0, root_.size() + 1, root_ + "/") == 0 ||
         (root_.empty() && real == "/");
}

// What has a hidden name does not become visible by a link to it.
bool DirectorySite::may_be_served(const std::string& real) const {
  return !is_inside(real) || !has_hidden_step(std::string_view(real).substr(root_.size()));
}

Answer DirectorySite::answer(std::string_view target) const {
  const std::optional<std::string> path = safe_path(target);
  if (!path) return error_answer(400);
  if (has_hidden_step(*path)) return error_answer(404);
  const std::string full = root_ + *path;
  struct stat status {};
  if (::stat(full.c_str(), &status) != 0) return error_answer(status_of_error(errno));
  const std::string real = real_path(full);
  if (real.empty()) return error_answer(status_of_error(errno));
  if (!may_be_served(real)) return error_answer(404);
  if (!is_inside(real) && !options_.follow_links) {
    Answer outside = error_answer(403);
    outside.outside = true;
    return outside;
  }
  if (S_ISDIR(status.st_mode)) return directory(*path, real);
  if (!S_ISREG(status.st_mode)) return error_answer(403);
  if (real == full) return file(*path, real);
  const std::string step = path->substr(0, path->rfind('/') + 1);
  const std::string home = canonical(step, real_path(root_ + step));
  if (home == step) return file(*path, real);
  return redirect_answer(301, encoded(home + path->substr(step.size())));
}

Answer DirectorySite::file(const std::string& path, const std::string& real) const {
  // Non-blocking, in case the file has become a pipe since it was looked at; and no link, in case
  // it has become one.
  OpenFile opened(::open(real.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (!opened.is_open()) return error_answer(status_of_error(errno));
  struct stat status {};
  if (::stat(real.c_str(), &status) != 0) return error_answer(status_of_error(errno));
  Answer answer;
  const bool page = options_.markdown && ends_with_ignoring_case(path, ".md");
  answer.type = page ? "text/markdown; charset=utf-8" : std::string(content_type_of(path));
  answer.body = BodyKind::kFile;
  answer.file = std::move(opened);
  answer.size = static_cast<std::uint64_t>(status.st_size);
  return answer;
}

Answer DirectorySite::directory(const std::string& path, const std::string& real) const {
  const std::string home = canonical(path, real);
  if (home != path) return redirect_answer(301, encoded(home));
  if (::access(real.c_str(), R_OK | X_OK) != 0) return error_answer(status_of_error(errno));
  const std::string index = real_path(real + "/index.html");
  const bool readable = !index.empty() && ::access(index.c_str(), R_OK) == 0;
  if (readable && !is_directory(index) && may_be_served(index) &&
      (is_inside(index) || options_.follow_links)) {
    return file(path + "index.html", index);
  }
  Answer answer;
  answer.text = listing(path, entries_of(real));
  return answer;
}

// The one path that a directory is served under, with a slash at its end.
std::string DirectorySite::canonical(const std::string& path, const std::string& real) const {
  std::string slashed = path.back() == '/' ? path : path + "/";
  if (real == root_ || real == "/") return "/";
  if (is_inside(real)) return real.substr(root_.size()) + "/";
  // Outside the tree, by a symbolic link. An ancestor that is the same directory means that we go
  // round in circles.
  for (std::size_t at = slashed.rfind('/', slashed.size() - 2); at != 0 && at != std::string::npos;
       at = slashed.rfind('/', at - 1)) {
    std::string ancestor = slashed.substr(0, at + 1);
    if (real_path(root_ + ancestor) == real) return ancestor;
  }
  return slashed;
}

bool holds_html(const std::string& directory) {
  std::error_code error;
  int left = 20000;
  for (fs::recursive_directory_iterator at(directory, fs::directory_options::skip_permission_denied,
                                           error);
       !error && at != fs::recursive_directory_iterator() && left > 0;
       at.increment(error), --left) {
    if (ends_with_ignoring_case(at->path().native(), ".html")) return true;
  }
  if (is_lack(error.value())) throw_lack(error.value());
  return false;
}

}  // namespace linkcheck
