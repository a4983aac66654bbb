// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace linkcheck {

// A file that is open for reading; closed with its owner. Neither copied nor shared.
class OpenFile {
 public:
  OpenFile() = default;
  explicit OpenFile(int fd) : fd_(fd) {}
  OpenFile(OpenFile&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  OpenFile& operator=(OpenFile&& other) noexcept;
  ~OpenFile();

  bool is_open() const { return fd_ >= 0; }
  // Up to `size` bytes from `offset`; fewer at the end of the file, 0 beyond it. Throws
  // std::system_error. Blocks: the thread, for a disk at worst; never the fiber alone. Cancel: not
  // noticed. Threads: any.
  std::size_t read_at(std::uint64_t offset, char* buffer, std::size_t size) const;

 private:
  int fd_ = -1;
};

enum class BodyKind {
  kText,       // Answer::text
  kFile,       // Answer::file, Answer::size bytes of it
  kTruncated,  // Answer::text, under a Content-Length of Answer::size, which is more; then the
               // connection closes
  kEndless,    // Answer::text over and over, until the client goes
  kNever,      // not even a head: the client waits until it gives up
};

// What a site has to say to a request.
struct Answer {
  int status = 200;
  bool outside = false;  // not served, because a symbolic link leads out of the site
  std::string type = "text/html; charset=utf-8";
  std::string location;
  BodyKind body = BodyKind::kText;
  std::string text;
  OpenFile file;
  std::uint64_t size = 0;
};

// What the built-in server serves.
class Site {
 public:
  virtual ~Site() = default;
  // `target` is a request's: percent-encoded, perhaps with a query.
  virtual Answer answer(std::string_view target) const = 0;
};

struct DirectoryOptions {
  // .md files are pages whose links count; without, plain text, as to a browser: most of those that
  // lie around were made to be read elsewhere.
  bool markdown = false;
  // Serves what symbolic links out of the tree lead to.
  bool follow_links = false;
};

// A directory tree, read only: index.html or else a listing for directories, everything else as it
// is. Everything has one path: what symbolic links to directories inside the tree lead to, or what
// they make of their own path again, redirects to the path without them, so that the tree stays
// finite. What lies outside the tree, by a symbolic link, is 403 with Answer::outside, unless the
// options say otherwise. Names that begin with a dot are not shown and not served.
//
// Throws Lack when this process has no descriptors or memory left.
class DirectorySite : public Site {
 public:
  // Throws std::system_error when `root` is no directory that can be read.
  explicit DirectorySite(const std::string& root, const DirectoryOptions& options = {});
  Answer answer(std::string_view target) const override;

 private:
  // `path` is a request's, decoded; `real` is where it leads to, without symbolic links.
  Answer directory(const std::string& path, const std::string& real) const;
  Answer file(const std::string& path, const std::string& real) const;
  std::string canonical(const std::string& path, const std::string& real) const;
  bool is_inside(const std::string& real) const;
  bool may_be_served(const std::string& real) const;

  std::string root_;  // resolved, without a slash at its end
  DirectoryOptions options_;
};

// A site of `pages` pages made of nothing: a tree of eight children a page, links across it,
// anchors, and now and then a redirect, a link to a page that is not there, and one to an anchor
// that is not there.
class GeneratedSite : public Site {
 public:
  explicit GeneratedSite(std::uint32_t pages) : pages_(pages) {}
  Answer answer(std::string_view target) const override;

  // How many dead links a check of the whole site finds: different missing pages, and different
  // missing anchors.
  std::uint32_t dead_links() const;

 private:
  std::string page(std::uint32_t number) const;

  std::uint32_t pages_;
};

// An error page.
Answer error_answer(int status);
Answer redirect_answer(int status, std::string location);

// Whether there is an HTML file somewhere below `directory`; looks at 20,000 entries at most.
bool holds_html(const std::string& directory);

}  // namespace linkcheck
