// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "fibers/src/net/waiting_call.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/socket/socket_type.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers {

namespace {

using detail::throw_errno;

// The identity of a file, whatever its name.
struct FileId {
  dev_t device;
  ino_t inode;
  friend bool operator==(const FileId&, const FileId&) = default;
};

bool is_abstract(const std::string& path) {
  return path.front() == '\0';
}

// Nothing if there is no such file, or it is no socket.
std::optional<FileId> socket_file(const std::string& path) {
  struct stat found {};
  if (is_abstract(path) || sys::stat(path.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode)) {
    return std::nullopt;
  }
  return FileId{found.st_dev, found.st_ino};
}

void remove_if_still(const FileId& id, const std::string& path) {
  if (socket_file(path) == id) sys::unlink(path.c_str());
}

bool nobody_listens(const SocketAddress& address) {
  const int fd = sys::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const int failed = sys::connect(fd, address.data(), static_cast<socklen_t>(address.size()));
  const bool refused = failed != 0 && errno == ECONNREFUSED;
  sys::close(fd);
  return refused;
}

int try_bind(int fd, const SocketAddress& address) {
  return sys::bind(fd, address.data(), static_cast<socklen_t>(address.size())) == 0 ? 0 : errno;
}

// In a worker thread: file systems may be slow. Returns an errno.
int bind_to_path(int fd, const std::string& path, const SocketAddress& address,
                 std::optional<unsigned> mode) {
  const std::optional<FileId> present = socket_file(path);
  int error = try_bind(fd, address);
  if (error == EADDRINUSE && present && nobody_listens(address)) {
    remove_if_still(*present, path);
    error = try_bind(fd, address);
  }
  // Nobody can connect before listen(), whatever the permissions were until here.
  const bool set_mode = error == 0 && mode && !is_abstract(path);
  if (set_mode && sys::chmod(path.c_str(), static_cast<mode_t>(*mode)) != 0) error = errno;
  return error;
}

// The file of a listener, while it serves.
class SocketFile {
 public:
  explicit SocketFile(std::string path) : path_(std::move(path)), id_(socket_file(path_)) {}
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;
  ~SocketFile() {
    if (id_) remove_if_still(*id_, path_);
  }

 private:
  std::string path_;
  std::optional<FileId> id_;
};

}  // namespace

SocketStream open_unix_socket(const std::string& path) {
  checkpoint_if_cancelled();
  const SocketAddress address = SocketAddress::from_path(path);
  socket::SocketType opened = socket::socket(AF_UNIX, SOCK_STREAM);
  opened.connect(address);
  return SocketStream(std::move(opened));
}

std::vector<SocketListener> open_unix_listeners(const std::string& path,
                                                const UnixListenOptions& options) {
  checkpoint_if_cancelled();
  if (options.backlog < 1) throw UsageError("the backlog of a listener must be at least 1");
  const SocketAddress address = SocketAddress::from_path(path);
  socket::SocketType opened = socket::socket(AF_UNIX, SOCK_STREAM);
  const int error = to_thread::run_sync(
      [&] { return bind_to_path(opened.fileno(), path, address, options.mode); });
  if (error != 0) throw_errno(error, "cannot listen at " + address.to_string());
  opened.listen(std::min(options.backlog, kDefaultBacklog));
  std::vector<SocketListener> listeners;
  listeners.emplace_back(std::move(opened));
  return listeners;
}

void serve_unix(std::function<void(SocketStream&)> handler, const std::string& path,
                const ServeUnixOptions& options, TaskStatus<void>& status) {
  std::vector<SocketListener> listeners =
      open_unix_listeners(path, {.mode = options.mode, .backlog = options.backlog});
  const SocketFile file(path);
  status.started();
  serve_listeners(std::move(handler), std::move(listeners), options.handler_nursery);
}

void serve_unix(std::function<void(SocketStream&)> handler, const std::string& path,
                const ServeUnixOptions& options) {
  auto ignored = TaskStatus<void>::ignored();
  serve_unix(std::move(handler), path, options, ignored);
}

}  // namespace weft::fibers
