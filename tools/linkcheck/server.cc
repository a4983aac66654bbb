// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/server.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tools/linkcheck/http_message.h"
#include "tools/linkcheck/lack.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/timeouts.h"

namespace linkcheck {
namespace {

using weft::fibers::Nursery;
using weft::fibers::SocketListener;
using weft::fibers::SocketStream;

constexpr std::size_t kPiece = 65536;  // of a file, in memory at a time

// One client, from its first request to its last.
class Connection {
 public:
  Connection(SocketStream& stream, const Site& site, const ServerOptions& options)
      : stream_(stream), site_(site), options_(options) {}

  void run() {
    while (receive_request()) {
      if (!answer_request() || !reader_.request().keep_alive) return;
    }
  }

 private:
  bool receive_request();
  bool answer_request();
  bool send(const Answer& answer);
  bool send_body(const Answer& answer, std::string head);
  bool send_file(const Answer& answer, std::string head);
  void send_endlessly(const Answer& answer, const std::string& head);
  void wait_for_client_to_go();

  SocketStream& stream_;
  const Site& site_;
  const ServerOptions& options_;
  RequestReader reader_;
};

// False when the client has gone, or said something that is not HTTP.
bool Connection::receive_request() {
  while (true) {
    switch (reader_.next()) {
      case RequestReader::Result::kRequest:
        return true;
      case RequestReader::Result::kError: {
        const Answer answer = error_answer(reader_.error_status());
        stream_.send_all(format_head({.status = answer.status,
                                      .type = answer.type,
                                      .length = answer.text.size(),
                                      .keep_alive = false}) +
                         answer.text);
        return false;
      }
      case RequestReader::Result::kMore:
        break;
    }
    const std::string bytes = stream_.receive_some(4096);
    if (bytes.empty()) return false;
    reader_.feed(bytes);
  }
}

// False when the connection cannot go on.
bool Connection::answer_request() {
  const Request& request = reader_.request();
  if (options_.latency.count() > 0) weft::fibers::sleep(options_.latency);
  if (hangs(request.target, options_.hang)) {
    wait_for_client_to_go();
    return false;
  }
  if (request.method != "GET" && request.method != "HEAD") return send(error_answer(405));
  return send(site_.answer(request.target));
}

// A server that hangs keeps its connection open and says nothing. What the client still sends is
// dropped.
void Connection::wait_for_client_to_go() {
  while (!stream_.receive_some(4096).empty()) {
  }
}

bool Connection::send(const Answer& answer) {
  if (answer.body == BodyKind::kNever) {
    wait_for_client_to_go();
    return false;
  }
  const bool promises = answer.body == BodyKind::kFile || answer.body == BodyKind::kTruncated;
  ResponseHead head{.status = answer.status,
                    .type = answer.type,
                    .location = answer.location,
                    .length = promises ? answer.size : answer.text.size(),
                    .outside = answer.outside,
                    .keep_alive = reader_.request().keep_alive};
  if (answer.body == BodyKind::kEndless) head.length.reset();
  if (reader_.request().method == "HEAD") {
    stream_.send_all(format_head(head));
    return true;
  }
  return send_body(answer, format_head(head));
}

bool Connection::send_body(const Answer& answer, std::string head) {
  switch (answer.body) {
    case BodyKind::kFile:
      return send_file(answer, std::move(head));
    case BodyKind::kEndless:
      send_endlessly(answer, head);
      return false;
    case BodyKind::kTruncated:
      stream_.send_all(head + answer.text);
      return false;
    default:
      stream_.send_all(head + answer.text);
      return true;
  }
}

// Exactly as much as the head has promised; when the file has become shorter since, the connection
// closes.
bool Connection::send_file(const Answer& answer, std::string head) {
  std::string piece = std::move(head);
  std::uint64_t sent = 0;
  do {
    const std::size_t before = piece.size();
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, answer.size - sent));
    piece.resize(before + wanted);
    const std::size_t got = answer.file.read_at(sent, piece.data() + before, wanted);
    piece.resize(before + got);
    stream_.send_all(piece);
    if (got == 0) break;
    piece.clear();
    sent += got;
  } while (sent < answer.size);
  return sent == answer.size;
}

void Connection::send_endlessly(const Answer& answer, const std::string& head) {
  stream_.send_all(head);
  const std::string chunk = format_chunk(answer.text);
  while (true) stream_.send_all(chunk);
}

}  // namespace

bool hangs(std::string_view target, double share) {
  if (share <= 0 || target == "/") return false;
  std::uint64_t hash =
      14695981039346656037U;  // FNV-1a, then mixed: similar targets must not hang together
  for (const char c : target) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  hash ^= hash >> 33U;
  hash *= 0xFF51AFD7ED558CCDU;
  hash ^= hash >> 33U;
  return static_cast<double>(hash % 100000) < share * 100000;
}

namespace {

void serve_client(SocketStream& stream, const Site& site, const ServerOptions& options) {
  try {
    Connection(stream, site, options).run();
  } catch (const weft::fibers::BrokenResourceError&) {
    // The client has gone in the middle of an answer. That is its own business.
  } catch (const std::system_error& error) {
    // A file that cannot be read after all. Its head is out already: only closing tells the client.
    if (is_lack(error.code().value())) throw_lack(error.code().value());
  }
}

void accept_clients(SocketListener& listener, const Site& site, const ServerOptions& options) {
  weft::fibers::open_nursery([&](Nursery& clients) {
    for (;;) {
      clients.start_soon(
          [&site, &options, stream = listener.accept()]() mutable {
            serve_client(stream, site, options);
          },
          {.name = "client"});
    }
  });
}

}  // namespace

// Not by serve_tcp(), which waits when it is out of descriptors: until then a client would time
// out.
void serve_site(const Site& site, const ServerOptions& options,
                weft::fibers::TaskStatus<std::uint16_t>& status) {
  std::vector<SocketListener> listeners =
      weft::fibers::open_tcp_listeners(0, {.host = "127.0.0.1"});
  status.started(listeners.front().local_address().port());
  accept_clients(listeners.front(), site, options);
}

}  // namespace linkcheck
