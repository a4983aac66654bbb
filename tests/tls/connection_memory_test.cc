// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a connection keeps in memory between two transfers, beside what OpenSSL keeps by itself.

#include <gtest/gtest.h>
#include <malloc.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <cstddef>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "tests/tls/ssl_pairs.h"
#include "tests/tls/tls_testing.h"
#include "weft/fibers/run.h"

namespace weft::fibers {
namespace {

constexpr std::size_t kTransfer = std::size_t{1} << 20;
constexpr std::size_t kPairs = 4;

std::size_t allocated() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

struct SslFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

// OpenSSL by itself, on a pair of BIOs of its own with the smallest buffers that work.
class BarePair {
 public:
  BarePair(const SSLContext& client_context, const SSLContext& server_context)
      : client_(SSL_new(client_context.native_handle())),
        server_(SSL_new(server_context.native_handle())) {
    BIO* client = nullptr;
    BIO* server = nullptr;
    EXPECT_EQ(BIO_new_bio_pair(&client, kBuffer, &server, kBuffer), 1);
    SSL_set_bio(client_.get(), client, client);
    SSL_set_bio(server_.get(), server, server);
    SSL_set_connect_state(client_.get());
    SSL_set_accept_state(server_.get());
    for (int done = 0; done < 2;) {
      done = (SSL_do_handshake(client_.get()) == 1 ? 1 : 0);
      done += (SSL_do_handshake(server_.get()) == 1 ? 1 : 0);
    }
  }
  void transfer() {
    send(*client_, *server_);
    send(*server_, *client_);
  }
  // The buffers of the pair are not OpenSSL's need: they stand in for the network.
  static constexpr std::size_t kBuffer = 17 * 1024;

 private:
  static void send(SSL& from, SSL& to) {
    std::vector<char> piece(16 * 1024);
    for (std::size_t sent = 0, got = 0; sent < kTransfer;) {
      std::size_t count = 0;
      if (SSL_write_ex(&from, piece.data(), piece.size(), &count) == 1) sent += count;
      while (SSL_read_ex(&to, piece.data(), piece.size(), &got) == 1) {
      }
    }
  }

  std::unique_ptr<SSL, SslFree> client_;
  std::unique_ptr<SSL, SslFree> server_;
};

std::size_t bare_memory() {
  const SSLContext client = test_client_context();
  const SSLContext server = test_server_context();
  BarePair warm(client, server);
  warm.transfer();
  std::vector<std::unique_ptr<BarePair>> pairs;
  pairs.reserve(kPairs);
  const std::size_t before = allocated();
  for (std::size_t i = 0; i < kPairs; ++i) {
    pairs.push_back(std::make_unique<BarePair>(client, server));
    pairs.back()->transfer();
  }
  return (allocated() - before) / kPairs - 2 * BarePair::kBuffer;
}

void transfer(SSLStream& from, SSLStream& to) {
  together([&] { from.send_all(std::string(kTransfer, 'x')); },
           [&] { EXPECT_EQ(receive_exactly(to, kTransfer).size(), kTransfer); });
}

void transfer_both_ways(SSLPair& pair) {
  transfer(pair.first, pair.second);
  transfer(pair.second, pair.first);
}

std::size_t weft_memory() {
  const SSLContext client = test_client_context();
  const SSLContext server = test_server_context();
  SSLPair warm = ssl_pair_over(socket_stream_pair(), client, server);
  transfer_both_ways(warm);
  std::vector<SSLPair> pairs;
  pairs.reserve(kPairs);
  const std::size_t before = allocated();
  for (std::size_t i = 0; i < kPairs; ++i) {
    pairs.push_back(ssl_pair_over(socket_stream_pair(), client, server));
    transfer_both_ways(pairs.back());
  }
  const std::size_t each = (allocated() - before) / kPairs;
  return each;
}

// Buffers that grew during a large transfer are given back: a server has many idle connections.
// A run of its own: what records a random schedule for a replay takes memory too.
TEST(ConnectionMemoryTest, AfterLargeTransfersIsWithinAFifthOfOpenSSLsOwn) {
  const std::size_t bare = bare_memory();
  if (bare == 0) GTEST_SKIP() << "this allocator does not tell how much it has given out";
  const std::size_t mine = run([] { return weft_memory(); });
  std::cout << "a pair of connections: " << mine << " bytes, OpenSSL alone: " << bare << '\n';
  EXPECT_LE(mine, bare + bare / 5);
}

}  // namespace
}  // namespace weft::fibers
