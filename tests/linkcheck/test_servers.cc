// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tests/linkcheck/test_servers.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <future>
#include <stdexcept>
#include <utility>

#include "tools/linkcheck/server.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/token.h"

namespace linkcheck::testing {
namespace {

namespace fibers = weft::fibers;

int bound_socket(std::uint16_t& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(fd, generic, size) != 0 || ::getsockname(fd, generic, &size) != 0) {
    throw std::runtime_error("no port of 127.0.0.1 can be had");
  }
  port = ntohs(address.sin_port);
  return fd;
}

struct Free {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

std::unique_ptr<X509, Free> certificate_for(EVP_PKEY* key) {
  std::unique_ptr<X509, Free> certificate(X509_new());
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* const name = X509_get_subject_name(certificate.get());
  const auto* const host = reinterpret_cast<const unsigned char*>("127.0.0.1");
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, host, -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  X509_sign(certificate.get(), key, EVP_sha256());
  return certificate;
}

}  // namespace

ScriptedSite& ScriptedSite::page(const std::string& path, Page answer) {
  pages_[path] = std::move(answer);
  return *this;
}

ScriptedSite& ScriptedSite::html(const std::string& path, const std::string& body) {
  return page(path, [body] {
    Answer answer;
    answer.text = body;
    return answer;
  });
}

ScriptedSite& ScriptedSite::redirect(const std::string& path, const std::string& location) {
  return page(path, [location] { return redirect_answer(302, location); });
}

Answer ScriptedSite::answer(std::string_view target) const {
  const std::string path(target);
  ++asked_[path];
  const auto page = pages_.find(path);
  return page == pages_.end() ? error_answer(404) : page->second();
}

int ScriptedSite::asked(const std::string& target) const {
  const auto count = asked_.find(target);
  return count == asked_.end() ? 0 : count->second;
}

OtherServer::OtherServer(const Site& site) {
  std::promise<std::string> origin;
  thread_ = std::thread([this, &site, &origin] {
    fibers::run([&] {
      fibers::open_nursery([&](fibers::Nursery& nursery) {
        const ServerOptions options;
        const auto port = nursery.start<std::uint16_t>(
            [&site, options](fibers::TaskStatus<std::uint16_t>& status) {
              serve_site(site, options, status);
            });
        const fibers::Token token = fibers::current_token();
        stop_ = [token, &nursery] {
          token.run_sync_soon([&nursery] { nursery.cancel_scope().cancel(); });
        };
        origin.set_value("http://127.0.0.1:" + std::to_string(port));
      });
    });
  });
  origin_ = origin.get_future().get();
}

OtherServer::~OtherServer() {
  stop_();
  thread_.join();
}

ClosedPort::ClosedPort() : fd_(bound_socket(port_)) {}

ClosedPort::~ClosedPort() {
  ::close(fd_);
}

RawServer::RawServer(std::string answer) : listener_(bound_socket(port_)) {
  ::listen(listener_, 8);
  thread_ = std::thread([this, answer = std::move(answer)] {
    std::array<char, 4096> request;
    for (int fd = 0; (fd = ::accept(listener_, nullptr, nullptr)) >= 0; ::close(fd)) {
      if (::recv(fd, request.data(), request.size(), 0) > 0) {
        ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
      }
    }
  });
}

RawServer::~RawServer() {
  ::shutdown(listener_, SHUT_RDWR);  // accept() returns
  thread_.join();
  ::close(listener_);
}

struct SelfSignedServer::State {
  std::uint16_t port = 0;
  int listener = -1;
  std::unique_ptr<SSL_CTX, Free> context;
  std::thread thread;

  void serve() const {
    while (true) {
      const int fd = ::accept(listener, nullptr, nullptr);
      if (fd < 0) return;
      const std::unique_ptr<SSL, Free> ssl(SSL_new(context.get()));
      SSL_set_fd(ssl.get(), fd);
      SSL_accept(ssl.get());  // the client ends it when it sees the certificate
      ::close(fd);
    }
  }
};

SelfSignedServer::SelfSignedServer() : state_(std::make_unique<State>()) {
  const std::unique_ptr<EVP_PKEY, Free> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  const std::unique_ptr<X509, Free> certificate = certificate_for(key.get());
  state_->context.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_use_certificate(state_->context.get(), certificate.get());
  SSL_CTX_use_PrivateKey(state_->context.get(), key.get());
  state_->listener = bound_socket(state_->port);
  ::listen(state_->listener, 8);
  state_->thread = std::thread([this] { state_->serve(); });
}

SelfSignedServer::~SelfSignedServer() {
  ::shutdown(state_->listener, SHUT_RDWR);  // accept() returns
  state_->thread.join();
  ::close(state_->listener);
}

std::string SelfSignedServer::url() const {
  return "https://127.0.0.1:" + std::to_string(state_->port) + "/";
}

}  // namespace linkcheck::testing
