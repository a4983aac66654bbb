// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/adapters/curl/test_server.h"

#include <algorithm>
#include <limits>

#include "weft/fibers/errors.h"
#include "weft/fibers/tcp.h"

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

std::size_t content_length(std::string_view head) {
  constexpr std::string_view kName = "Content-Length: ";
  const auto at = head.find(kName);
  return at == std::string_view::npos ? 0 : std::stoul(std::string(head.substr(at + kName.size())));
}

}  // namespace

TestServer::TestServer(fibers::Nursery& nursery) {
  port_ = nursery.start<std::uint16_t>([this](fibers::TaskStatus<std::uint16_t>& status) {
    fibers::serve_tcp([this](fibers::SocketStream& stream) { serve(stream); }, 0,
                      {.host = "127.0.0.1"}, status);
  });
}

std::string TestServer::url(std::string_view path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
}

void TestServer::serve(fibers::SocketStream& stream) {
  ++connections;
  most_at_once = std::max(most_at_once, ++at_once);
  std::string buffer;
  Request request;
  try {
    while (read_request(stream, buffer, request) && answer(stream, request)) {
    }
  } catch (const fibers::BrokenResourceError&) {
    client_gone.set();
  }
  --at_once;
}

bool TestServer::read_request(fibers::SocketStream& stream, std::string& buffer, Request& request) {
  std::size_t head_end = 0;
  std::size_t size = std::numeric_limits<std::size_t>::max();
  while (buffer.size() < size) {
    head_end = buffer.find("\r\n\r\n");
    if (head_end != std::string::npos) {
      size = head_end + 4 + content_length(std::string_view(buffer).substr(0, head_end));
      if (buffer.size() >= size) break;
    }
    const std::string more = stream.receive_some();
    if (more.empty()) return false;
    buffer += more;
  }
  const auto method_end = buffer.find(' ');
  request.method = buffer.substr(0, method_end);
  request.path = buffer.substr(method_end + 1, buffer.find(' ', method_end + 1) - method_end - 1);
  request.body = buffer.substr(head_end + 4, size - head_end - 4);
  buffer.erase(0, size);
  ++requests;
  return true;
}

bool TestServer::answer(fibers::SocketStream& stream, const Request& request) {
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

void TestServer::send_many(fibers::SocketStream& stream, std::size_t count) {
  const std::string piece(16 * 1024, 'x');
  while (count > 0) {
    const std::size_t size = std::min(count, piece.size());
    stream.send_all(std::string_view(piece).substr(0, size));
    bytes_sent += size;
    count -= size;
  }
}

}  // namespace weft::curl
