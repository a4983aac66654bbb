// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/adapters/curl/test_server.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <limits>

#include "weft/fibers/errors.h"
#include "weft/fibers/tcp.h"
#include "weft/tls/ssl_over_tcp.h"

namespace weft::curl {

namespace {

std::string with_length(std::string_view status, std::string_view body,
                        std::string_view headers = {}) {
  return "HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(headers) + "\r\n" + std::string(body);
}

std::string redirect_to(const std::string& path) {
  return with_length("302 Found", "moved", "Location: " + path + "\r\n");
}

std::size_t number_after(std::string_view path, std::string_view prefix) {
  return std::stoul(std::string(path.substr(prefix.size())));
}

std::optional<std::string> header_of(std::string_view head, std::string_view name) {
  const auto at = head.find("\r\n" + std::string(name) + ": ");
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view value = head.substr(at + name.size() + 4);
  return std::string(value.substr(0, value.find("\r\n")));
}

std::size_t content_length(std::string_view head) {
  return std::stoul(header_of(head, "Content-Length").value_or("0"));
}

}  // namespace

TestServer::TestServer(fibers::Nursery& nursery, std::optional<fibers::SSLContext> tls)
    : scheme_(tls ? "https://" : "http://") {
  const auto serve_tls = [this, tls](fibers::TaskStatus<std::uint16_t>& status) {
    const auto handler = [this](fibers::SSLStream& stream) {
      stream.do_handshake();
      sessions_resumed += SSL_session_reused(stream.native_handle());
      serve(stream);
    };
    fibers::serve_ssl_over_tcp(handler, 0, *tls,
                               {.https_compatible = true, .tcp = {.host = "127.0.0.1"}}, status);
  };
  const auto serve_plain = [this](fibers::TaskStatus<std::uint16_t>& status) {
    fibers::serve_tcp([this](fibers::SocketStream& stream) { serve(stream); }, 0,
                      {.host = "127.0.0.1"}, status);
  };
  port_ = tls ? nursery.start<std::uint16_t>(serve_tls) : nursery.start<std::uint16_t>(serve_plain);
}

std::string TestServer::url(std::string_view path) const {
  return scheme_ + "127.0.0.1:" + std::to_string(port_) + std::string(path);
}

void TestServer::serve(fibers::Stream& stream) {
  ++connections;
  most_at_once = std::max(most_at_once, ++at_once);
  Connection connection{.stream = stream};
  Request request;
  try {
    while (read_request(connection, request)) {
      ++requests;
      if (!answer(connection, request)) break;
    }
  } catch (const fibers::BrokenResourceError&) {
    client_gone.set();
  }
  --at_once;
}

bool TestServer::Connection::receive_more() {
  const std::string more = stream.receive_some();
  buffer += more;
  return !more.empty();
}

std::string TestServer::Connection::take_line() {
  while (buffer.find("\r\n") == std::string::npos && receive_more()) {
  }
  std::string line = take(std::min(buffer.find("\r\n"), buffer.size()));
  take(2);
  return line;
}

std::string TestServer::Connection::take(std::size_t size) {
  while (buffer.size() < size && receive_more()) {
  }
  std::string taken = buffer.substr(0, size);
  buffer.erase(0, size);
  return taken;
}

// The bodies of uploads are left to who reads them.
bool TestServer::read_request(Connection& connection, Request& request) {
  std::size_t end = 0;
  while ((end = connection.buffer.find("\r\n\r\n")) == std::string::npos) {
    if (!connection.receive_more()) return false;
  }
  request.head = connection.take(end + 4);
  const auto method_end = request.head.find(' ');
  request.method = request.head.substr(0, method_end);
  const auto path_end = request.head.find(' ', method_end + 1);
  request.path = request.head.substr(method_end + 1, path_end - method_end - 1);
  const bool left = request.path.ends_with("upload") || request.path.starts_with("/refuse");
  request.body = left ? std::string() : connection.take(content_length(request.head));
  return true;
}

bool TestServer::take_upload(Connection& connection, const Request& request) {
  if (header_of(request.head, "Expect"))
    connection.stream.send_all("HTTP/1.1 100 Continue\r\n\r\n");
  upload_.clear();
  const auto add = [&](std::size_t size) {
    bytes_uploaded += size;
    const std::string piece = connection.take(size);
    upload_ += piece;
    return piece.size() == size;
  };
  if (header_of(request.head, "Transfer-Encoding")) {
    for (;;) {
      const std::string size = connection.take_line();
      if (size.empty() || !add(std::stoul(size, nullptr, 16))) return false;
      connection.take_line();
      if (size == "0") break;
    }
  } else if (!add(content_length(request.head))) {
    return false;
  }
  connection.stream.send_all(
      with_length("200 OK", request.method + ' ' + std::to_string(upload_.size()) + " bytes"));
  return true;
}

bool TestServer::answer(Connection& connection, const Request& request) {
  fibers::Stream& stream = connection.stream;
  const std::string& path = request.path;
  if (path == "/hello") {
    stream.send_all(with_length("200 OK", request.method == "HEAD" ? "" : "hello",
                                "Content-Type: text/plain\r\nX-Greeting:  good morning \r\n"));
  } else if (path == "/redirect/0") {
    stream.send_all(redirect_to("/hello"));
  } else if (path.starts_with("/redirect/")) {
    stream.send_all(
        redirect_to("/redirect/" + std::to_string(number_after(path, "/redirect/") - 1)));
  } else if (path == "/loop") {
    stream.send_all(redirect_to("/loop"));
  } else if (path == "/echo") {
    stream.send_all(with_length("200 OK", request.method + ' ' + request.body));
  } else if (path == "/cookie") {
    stream.send_all(with_length("200 OK", header_of(request.head, "Cookie").value_or("none"),
                                "Set-Cookie: taste=sweet\r\n"));
  } else if (path == "/upload") {
    return take_upload(connection, request);
  } else if (path == "/late-upload") {
    hanging.set();
    go_on.wait();
    return take_upload(connection, request);
  } else if (path == "/refuse") {
    stream.send_all(with_length("413 Content Too Large", "too much", "Connection: close\r\n"));
    return false;
  } else if (path == "/refuse/stay") {
    stream.send_all(with_length("413 Content Too Large", "too much"));
  } else if (path == "/late-body") {
    stream.send_all("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Greeting: early\r\n\r\n");
    go_on.wait();
    stream.send_all("late");
  } else if (path == "/hang") {
    hanging.set();
    if (stream.receive_some().empty()) client_gone.set();
    return false;
  } else if (path == "/endless") {
    stream.send_all("HTTP/1.1 200 OK\r\n\r\n");
    send_many(stream, std::numeric_limits<std::size_t>::max());
  } else if (path.starts_with("/bytes/")) {
    const std::size_t count = number_after(path, "/bytes/");
    stream.send_all("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(count) + "\r\n\r\n");
    send_many(stream, count);
  } else if (path == "/short") {
    stream.send_all("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
    return false;
  } else {
    stream.send_all(with_length("404 Not Found", "not here"));
  }
  return true;
}

void TestServer::send_many(fibers::Stream& stream, std::size_t count) {
  const std::string piece(16 * 1024, 'x');
  while (count > 0) {
    const std::size_t size = std::min(count, piece.size());
    stream.send_all(std::string_view(piece).substr(0, size));
    bytes_sent += size;
    count -= size;
  }
}

}  // namespace weft::curl
