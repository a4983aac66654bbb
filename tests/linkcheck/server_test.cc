// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The built-in server, whatever its clients do.

#include "tools/linkcheck/server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <functional>
#include <string>

#include "tests/linkcheck/test_servers.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/timeouts.h"

namespace linkcheck {
namespace {

using namespace std::chrono_literals;
using testing::ScriptedSite;
namespace fibers = weft::fibers;
using fibers::SocketStream;

constexpr char kRequest[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

std::string receive_all(SocketStream& stream) {
  std::string all;
  while (true) {
    const std::string piece = stream.receive_some();
    if (piece.empty()) return all;
    all += piece;
  }
}

// Closes by a reset instead of a FIN.
void reset(SocketStream& stream) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(stream.fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  stream.close();
}

class ServedClientsTest : public ::testing::Test {
 protected:
  ServedClientsTest() {
    site_.html("/", "here");
    site_.page("/large", [] {
      Answer answer;
      answer.text = std::string(16 << 20, 'x');
      return answer;
    });
    site_.page("/endless", [] {
      Answer answer;
      answer.body = BodyKind::kEndless;
      answer.text = std::string(1000, 'x');
      return answer;
    });
    site_.page("/never", [] {
      Answer answer;
      answer.body = BodyKind::kNever;
      return answer;
    });
  }

  // Lets `client` do what it likes, then a proper client ask; `client`'s stream stays open.
  void survives(const std::function<void(SocketStream&)>& client) const {
    fibers::run([&] {
      fibers::open_nursery([&](fibers::Nursery& nursery) {
        const auto port = nursery.start<std::uint16_t>(
            [this](fibers::TaskStatus<std::uint16_t>& status) { serve_site(site_, {}, status); });
        SocketStream first = fibers::open_tcp_stream("127.0.0.1", port);
        fibers::fail_after(10s, [&] { client(first); });
        SocketStream second = fibers::open_tcp_stream("127.0.0.1", port);
        second.send_all(std::string_view(kRequest));
        const std::string answer = fibers::fail_after(10s, [&] { return receive_all(second); });
        EXPECT_TRUE(answer.ends_with("\r\n\r\nhere")) << answer;
        nursery.cancel_scope().cancel();
      });
    });
  }

  ScriptedSite site_;
};

TEST_F(ServedClientsTest, SurvivesAResetAtOnce) {
  survives([](SocketStream& stream) { reset(stream); });
}

TEST_F(ServedClientsTest, SurvivesAResetInTheMiddleOfARequest) {
  survives([](SocketStream& stream) {
    stream.send_all(std::string_view("GET / HT"));
    reset(stream);
  });
}

TEST_F(ServedClientsTest, SurvivesAResetInTheMiddleOfAnAnswer) {
  for (const char* path : {"/large", "/endless"}) {
    survives([path](SocketStream& stream) {
      stream.send_all(std::string("GET ") + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
      stream.receive_some(100);
      reset(stream);
    });
  }
}

TEST_F(ServedClientsTest, SurvivesClientsThatStayAndSayNothing) {
  survives([](SocketStream&) {});
  survives([](SocketStream& stream) { stream.send_all(std::string_view("GET / HTTP/1.1\r\nHo")); });
  survives([](SocketStream& stream) {
    stream.send_all(std::string_view("GET /never HTTP/1.1\r\nHost: x\r\n\r\n"));
  });
  survives([](SocketStream& stream) {  // Does not read what it has asked for.
    stream.send_all(std::string_view("GET /large HTTP/1.1\r\nHost: x\r\n\r\n"));
  });
}

TEST_F(ServedClientsTest, AnswersAClientThatHasFinishedSending) {
  survives([](SocketStream& stream) {
    stream.send_all(std::string_view(kRequest));
    stream.send_eof();
    EXPECT_TRUE(receive_all(stream).ends_with("here"));
  });
  survives([](SocketStream& stream) {
    stream.send_all(std::string_view("GET / HT"));
    stream.send_eof();
    EXPECT_EQ(receive_all(stream), "");
  });
}

TEST_F(ServedClientsTest, AnswersGarbageWithAnErrorAndCloses) {
  std::string noise;
  for (int i = 0; i < 4096; ++i) noise += static_cast<char>(i * 7 + 1);
  const std::string garbage[] = {
      noise + "\r\n\r\n",
      std::string("\x16\x03\x01\x02", 4) + std::string(200, '\0') + "\r\n\r\n",
      "GET\r\n\r\n",
      "GET / HTTP/9.9\r\n\r\n",
      "GET / HTTP/1.1\r\n: no name\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
      std::string(100'000, 'a'),
  };
  for (const std::string& bytes : garbage) {
    survives([&bytes](SocketStream& stream) {
      try {
        stream.send_all(bytes);
        stream.send_eof();
        EXPECT_TRUE(receive_all(stream).starts_with("HTTP/1.1 ")) << bytes.substr(0, 50);
      } catch (const fibers::BrokenResourceError&) {  // It was reset while it still talked.
      }
    });
  }
}

}  // namespace
}  // namespace linkcheck
