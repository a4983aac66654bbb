// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/server.h"

#include <algorithm>
#include <string>
#include <utility>

#include "fibers/sys/sys.h"
#include "loop/src/servers/bind.h"
#include "loop/src/servers/server_impl.h"
#include "loop/src/transports/establish.h"
#include "loop/src/transports/transport_errors.h"
#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"

namespace weft::loop {

namespace detail {

ServerImpl::ServerImpl(LoopCore& loop, std::unique_ptr<ServeRequest> request)
    : ServerCore(loop), request_(std::move(request)) {
  keep_open();
}

void ServerImpl::add(Bound bound) {
  acceptors_.reserve(acceptors_.size() + 1);
  acceptors_.push_back(new Acceptor(*this, std::move(bound)));
}

void ServerImpl::begin_to_serve() {
  if (closed_) throw fibers::UsageError("this server is closed");
  if (serving_) return;
  for (Acceptor* acceptor : acceptors_) acceptor->listen(request_->backlog);
  serving_ = true;
}

std::vector<int> ServerImpl::sockets() const {
  std::vector<int> fds;
  fds.reserve(acceptors_.size());
  for (const Acceptor* acceptor : acceptors_) fds.push_back(acceptor->fd());
  return fds;
}

// --- Its connections. ---

void ServerImpl::attach(SocketTransport& transport) noexcept {
  retain();
  transport.next_of_owner = clients_;
  transport.at_of_owner = &clients_;
  if (clients_ != nullptr) clients_->at_of_owner = &transport.next_of_owner;
  clients_ = &transport;
}

void ServerImpl::detach(SocketTransport& transport) noexcept {
  *transport.at_of_owner = transport.next_of_owner;
  if (transport.next_of_owner != nullptr)
    transport.next_of_owner->at_of_owner = transport.at_of_owner;
  wake_if_over();
  release();
}

// They end later, by callbacks: the list does not change meanwhile.
void ServerImpl::close_clients() {
  for (SocketTransport* client = clients_; client != nullptr; client = client->next_of_owner)
    client->close();
}

void ServerImpl::abort_clients() {
  for (SocketTransport* client = clients_; client != nullptr; client = client->next_of_owner)
    client->abort();
}

// --- Its end. ---

void ServerImpl::close() {
  if (closed_) return;
  retain();
  closed_ = true;
  serving_ = false;
  for (Acceptor* acceptor : std::exchange(acceptors_, {})) {
    acceptor->close(request_->cleanup_socket);
    acceptor->release();
  }
  if (forever_) std::exchange(forever_, std::nullopt)->cancel();
  wake_if_over();
  let_go();
  release();
}

void ServerImpl::wake_if_over() noexcept {
  if (!over()) return;
  for (Future<void>& waiter : std::exchange(waiters_, {})) {
    try {
      if (!waiter.done()) waiter.set_result();
    } catch (const fibers::UsageError&) {
      // The loop is closed: nothing of it is called any more.
    }
  }
}

void ServerImpl::report_unclosed() {
  std::string message = "unclosed server <Server sockets=[";
  const char* between = "";
  for (const Acceptor* acceptor : acceptors_) {
    message += between + ask_address(acceptor->fd(), fibers::sys::getsockname).to_string();
    between = ", ";
  }
  message += "]>: its loop is closed first; close() it before";
  report(loop(), {.message = message.c_str(),
                  .server = this,
                  .socket = acceptors_.empty() ? -1 : acceptors_.front()->fd()});
}

// Who waits for it is not told: nothing of the loop is called any more.
void ServerImpl::loop_closed() noexcept {
  waiters_.clear();
  forever_.reset();
  close();
}

// --- What is awaited. Each coroutine holds the server. ---

namespace {

class Holding {
 public:
  explicit Holding(ServerCore& server) noexcept : server_(&server) { server.retain(); }
  Holding(Holding&& other) noexcept : server_(std::exchange(other.server_, nullptr)) {}
  Holding& operator=(Holding&&) = delete;
  ~Holding() {
    if (server_ != nullptr) server_->release();
  }

 private:
  ServerCore* server_;
};

Coro<void> begin_serving(ServerImpl& server, [[maybe_unused]] Holding kept) {
  server.begin_to_serve();
  co_await sleep(fibers::Duration::zero());
}

Coro<void> wait_for(ServerImpl&, [[maybe_unused]] Holding kept, Future<void> end) {
  co_await end;
}

Coro<void> at_once() {
  co_return;
}

// Closes a server that nobody gets: it cannot begin, or who has asked for it is cancelled.
struct CloseUnlessGiven {
  explicit CloseUnlessGiven(ServerImpl& made) noexcept : server(&made) {}
  CloseUnlessGiven(const CloseUnlessGiven&) = delete;
  CloseUnlessGiven& operator=(const CloseUnlessGiven&) = delete;
  ~CloseUnlessGiven() {
    if (server != nullptr) server->close();
  }
  ServerImpl* server;
};

// Cancelled, by its caller or by close(): the server is closed, and its connections end first.
Coro<void> run_forever(ServerImpl& server, [[maybe_unused]] Holding kept) {
  const Future<void> end = server.begin_forever();
  std::exception_ptr ended;
  try {
    co_await end;
  } catch (...) {
    ended = std::current_exception();
  }
  server.close();
  co_await server.wait_closed();
  if (ended != nullptr) std::rethrow_exception(ended);
}

}  // namespace

Coro<void> ServerImpl::start_serving() {
  return begin_serving(*this, Holding(*this));
}

Coro<void> ServerImpl::wait_closed() {
  if (over()) return at_once();
  waiters_.push_back(event_loop().create_future<void>());
  return wait_for(*this, Holding(*this), waiters_.back());
}

// Nothing begins before it is awaited: what is dropped before that leaves nothing behind.
Coro<void> ServerImpl::serve_forever() {
  return run_forever(*this, Holding(*this));
}

Future<void> ServerImpl::begin_forever() {
  if (forever_) {
    throw fibers::UsageError("this server is already being awaited on serve_forever()");
  }
  begin_to_serve();
  forever_ = event_loop().create_future<void>();
  return *forever_;
}

Coro<Server> serve(LoopCore& loop, std::unique_ptr<ServeRequest> given) {
  const ServeRequest& request = *given;
  std::vector<Bound> bound;
  require_layer_options(request.layer);
  if (request.fd.get() >= 0) {
    bound.push_back(take_bound(UniqueFd(given->fd.release()), request.unix_only));
  } else {
    if (!request.path.empty()) {
      bound.push_back(bind_to_path(request));
    } else {
      bound = co_await bind_all(loop, request);
    }
  }
  require_open(loop);
  auto* const server = new ServerImpl(loop, std::move(given));
  Server held = ServerAccess::wrap(server);
  CloseUnlessGiven close(*server);
  for (Bound& each : bound) server->add(std::move(each));
  if (server->request().start_serving) {
    server->begin_to_serve();
    co_await sleep(fibers::Duration::zero());
  }
  close.server = nullptr;
  co_return held;
}

}  // namespace detail

void Server::throw_empty() {
  throw fibers::UsageError("this server is empty: create_server() makes one");
}

std::unique_ptr<detail::ServeRequest> LoopServers::serve_request(detail::ProtocolFactory factory,
                                                                 const ServerOptions& options) {
  auto request = std::make_unique<detail::ServeRequest>();
  request->factory = std::move(factory);
  request->family = options.family;
  request->flags = options.flags;
  request->backlog = options.backlog;
  request->reuse_address = options.reuse_address;
  request->reuse_port = options.reuse_port;
  request->keep_alive = options.keep_alive;
  request->cleanup_socket = options.cleanup_socket;
  request->start_serving = options.start_serving;
  request->layer.ssl = options.ssl;
  request->layer.handshake_timeout = options.ssl_handshake_timeout;
  request->layer.shutdown_timeout = options.ssl_shutdown_timeout;
  return request;
}

}  // namespace weft::loop
