// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Accepting. (asyncio: BaseSelectorEventLoop._accept_connection.)

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

#include "fibers/sys/sys.h"
#include "loop/src/servers/server_impl.h"
#include "loop/src/transports/establish.h"
#include "loop/src/transports/transport_errors.h"
#include "weft/fibers/cancelled.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::detail {

using fibers::SocketAddress;
namespace sys = fibers::sys;

namespace {

constexpr fibers::Duration kRetry = std::chrono::seconds(1);  // ACCEPT_RETRY_DELAY

class Kept {
 public:
  explicit Kept(LoopObject& object) noexcept : object_(object) { object.retain(); }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  ~Kept() { object_.release(); }

 private:
  LoopObject& object_;
};

// What is wrong with one connection, and with none after it.
bool concerns_one_connection(int error) {
  return error == EINTR || error == ECONNABORTED || error == EPROTO || error == EPERM ||
         error == ENETDOWN || error == EHOSTUNREACH || error == ENETUNREACH || error == ETIMEDOUT;
}

}  // namespace

Acceptor::Acceptor(ServerImpl& server, Bound bound)
    : LoopObject(server.loop()), server_(server), bound_(std::move(bound)) {}

void Acceptor::listen(int backlog) {
  if (listening()) return;
  backlog_ = backlog;
  const int fd = bound_.fd.get();
  if (sys::listen(fd, backlog) != 0) {
    throw std::system_error(errno, std::generic_category(), "listen");
  }
  // The connections inherit it.
  const int on = 1;
  if (bound_.tcp) sys::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  run_of(loop()).call([this] {
    owned_ = fibers::OwnedFd(bound_.fd.release());
    watch_.arm(
        owned_, fibers::FdDirection::kRead,
        [](void* self) { static_cast<Acceptor*>(self)->accepting_.schedule(); }, this);
  });
}

// At most a backlog's worth, then others have their turn.
void Acceptor::accept_ready() {
  if (!listening() || paused_) return;
  const Kept kept(server_);
  for (int i = 0; i < backlog_; ++i) {
    if (!accept_one()) return;
  }
  accepting_.schedule();
}

bool Acceptor::accept_one() {
  if (!listening()) return false;  // The factory has closed the server.
  SocketAddress peer;
  auto size = static_cast<socklen_t>(SocketAddress::capacity());
  UniqueFd fd(sys::accept4(owned_.get(), peer.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) return refused(errno);
  peer.set_size(size);
  establish(std::move(fd), peer);
  return true;
}

bool Acceptor::refused(int error) noexcept {
  if (error == EAGAIN || error == EWOULDBLOCK) return false;
  if (concerns_one_connection(error)) return true;
  const bool full = error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
  report(loop(), {.message = full ? "socket.accept() out of system resource"
                                  : "socket.accept() has failed; trying again in a second",
                  .exception = system_error(error, "accept"),
                  .server = &server_,
                  .socket = owned_.get()});
  pause();
  return false;
}

// close() cancels the timer. Without memory for one, the next iteration tries again.
void Acceptor::pause() noexcept {
  if (!listening()) return;  // The exception handler has closed the server.
  try {
    retry_ = event_loop().call_later(kRetry, [this] {
      paused_ = false;
      accepting_.schedule();
    });
    paused_ = true;
  } catch (...) {
    accepting_.schedule();
  }
}

void Acceptor::establish(UniqueFd fd, const SocketAddress& peer) {
  try {
    ServeRequest& request = server_.request();
    SocketGiven given{.fd = std::move(fd),
                      .protocol = request.factory(),
                      .owner = &server_,
                      .peer = peer,
                      .tuned_tcp = bound_.tcp};
    if (!listening()) return;  // The factory has closed the server, or has waited meanwhile.
    if (request.layer.ssl != nullptr) {
      given.waiter = event_loop().create_future<void>();
      // That a handshake fails is a matter of that client; in debug mode it is told.
      given.waiter.add_done_callback([&loop = loop()](const Future<void>& waiter) {
        if (waiter.cancelled() || waiter.exception() == nullptr) return;
        if (!facade_of(loop).get_debug()) return;
        report(loop, {.message = "Error on transport creation for incoming connection",
                      .exception = waiter.exception()});
      });
    }
    detail::establish(loop(), std::move(given), request.layer, true);
  } catch (const fibers::Cancelled&) {
    throw;
  } catch (const fibers::KeyboardInterrupt&) {
    throw;
  } catch (...) {
    report(loop(), {.message = "Error on transport creation for incoming connection",
                    .exception = std::current_exception(),
                    .server = &server_,
                    .socket = fd ? fd.get() : -1});
  }
}

void Acceptor::close(bool cleanup) noexcept {
  watch_.disarm();
  if (retry_) std::exchange(retry_, {}).cancel();
  if (cleanup) unlink_own_file();
  owned_.close();
  bound_.fd = {};
}

// Somebody else may have put a file of the same name there.
void Acceptor::unlink_own_file() noexcept {
  if (bound_.path.empty() || bound_.inode == 0) return;
  struct stat found {};
  if (sys::stat(bound_.path.c_str(), &found) != 0 || found.st_ino != bound_.inode) return;
  if (sys::unlink(bound_.path.c_str()) != 0 && errno != ENOENT) {
    warn("Unable to clean up the file of a listening Unix socket");
  }
}

}  // namespace weft::loop::detail
