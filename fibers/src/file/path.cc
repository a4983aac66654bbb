// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The text of paths. What is behind them: path_io.cc.

#include "weft/fibers/path.h"

#include <algorithm>
#include <utility>

#include "weft/fibers/errors.h"

namespace weft::fibers {

namespace fs = std::filesystem;

namespace {

fs::path normal(const fs::path& path) {
  // For the system the path would end there, and so be another one.
  if (path.native().find('\0') != std::string::npos) {
    throw UsageError("a path must not contain a zero byte");
  }
  fs::path result = path.root_path();
  for (const fs::path& part : path.relative_path()) {
    if (!part.empty() && part != ".") result /= part;
  }
  return result.empty() ? "." : result;
}

bool is_unreserved(char c) {
  constexpr std::string_view kOthers = "-._~/";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kOthers.find(c) != std::string_view::npos;
}

// The parts of `path` that follow those of `base`; false if it does not begin with them.
bool strip(const fs::path& path, const fs::path& base, fs::path& rest) {
  if (base == ".") {
    rest = path;
    return !path.is_absolute();
  }
  const auto [at, end] = std::mismatch(path.begin(), path.end(), base.begin(), base.end());
  if (end != base.end()) return false;
  rest.clear();
  std::for_each(at, path.end(), [&rest](const fs::path& part) { rest /= part; });
  return true;
}

}  // namespace

Path::Path(const fs::path& path) : path_(normal(path)) {}

std::string Path::as_uri() const {
  if (!is_absolute()) {
    throw UsageError("'" + string() + "' is relative and has no URI; use absolute() first");
  }
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string uri = "file://";
  for (const char c : path_.native()) {
    if (is_unreserved(c)) {
      uri += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      uri += '%';
      uri += kDigits[byte >> 4U];
      uri += kDigits[byte & 15U];
    }
  }
  return uri;
}

std::vector<std::string> Path::parts() const {
  if (path_ == ".") return {};
  return {path_.begin(), path_.end()};
}

Path Path::parent() const {
  return path_.parent_path();
}

std::vector<Path> Path::parents() const {
  std::vector<Path> all;
  for (Path at = *this; at.parent() != at; at = at.parent()) all.push_back(at.parent());
  return all;
}

std::string Path::name() const {
  return path_ == "." ? std::string() : path_.filename().string();
}
std::string Path::stem() const {
  return path_ == "." ? std::string() : path_.stem().string();
}
std::string Path::suffix() const {
  return path_ == "." ? std::string() : path_.extension().string();
}

Path Path::with_name(const std::string& name) const {
  if (this->name().empty()) throw UsageError("'" + string() + "' has no last part to replace");
  if (name.empty() || name == "." || name.find('/') != std::string::npos) {
    throw UsageError("'" + name + "' is not a file name");
  }
  return path_.parent_path() / name;
}

Path Path::with_stem(const std::string& stem) const {
  return with_name(stem + suffix());
}

Path Path::with_suffix(const std::string& suffix) const {
  if (!suffix.empty() && (suffix.front() != '.' || suffix.size() == 1)) {
    throw UsageError("'" + suffix + "' is not a suffix; a suffix begins with a dot");
  }
  return with_name(stem() + suffix);
}

Path Path::relative_to(const Path& base) const {
  fs::path rest;
  if (strip(path_, base.path_, rest)) return rest;
  throw UsageError("'" + string() + "' does not begin with '" + base.string() + "'");
}

bool Path::is_relative_to(const Path& base) const {
  fs::path rest;
  return strip(path_, base.path_, rest);
}

}  // namespace weft::fibers
