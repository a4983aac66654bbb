// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft against the `openssl` program, as client and as server.

#include "tests/tls/openssl_command.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/tls/test_authority.h"
#include "tests/tls/tls_testing.h"
#include "weft/fibers/buffered_receive_stream.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/tls/ssl_over_tcp.h"

namespace weft::fibers {
namespace {

struct Version {
  const char* option;
  const char* name;
};
constexpr Version kVersions[] = {{"-tls1_2", "TLSv1.2"}, {"-tls1_3", "TLSv1.3"}};

// Starts `openssl s_server`, which turns lines around, and says at which port.
std::uint16_t start_server(OpensslCommand& command, std::vector<std::string> more) {
  const std::string certificate = command.write("cert.pem", test_certificate().certificate);
  const std::string key = command.write("key.pem", test_certificate().key);
  std::vector<std::string> arguments = {"s_server",  "-accept", "127.0.0.1:0", "-cert",
                                        certificate, "-key",    key,           "-rev"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  command.start(std::move(arguments));
  const std::string said = command.read_until("ACCEPT");
  return static_cast<std::uint16_t>(std::stoi(said.substr(said.rfind(':') + 1)));
}

FIBER_TEST(OpensslCommandTest, ClientTalksToServer) {
  WEFT_NOT_SWEPT("hundreds of runs of another program take minutes");
  WEFT_NOT_FAULT_SWEPT("its command plays with descriptors that nobody owns");
  for (const Version& version : kVersions) {
    OpensslCommand command;
    const std::uint16_t port = start_server(command, {version.option, "-alpn", "two,one"});
    SSLContext context = test_client_context();
    context.set_alpn_protocols({"one", "two"});
    SSLStream stream = open_ssl_over_tcp_stream("127.0.0.1", port, {.ssl_context = context});
    BufferedReceiveStream in(stream);
    stream.send_all("hello\n");
    EXPECT_EQ(in.receive_line(), "olleh");
    // It turns lines around only up to 16 KiB.
    const std::string much(10'000, 'x');
    for (int i = 0; i < 20; ++i) {
      stream.send_all(much + "y\n");
      EXPECT_TRUE(in.receive_line() == 'y' + much);
    }
    EXPECT_EQ(stream.version(), version.name);
    EXPECT_EQ(stream.selected_alpn_protocol(), "two");
    EXPECT_EQ(stream.getpeercert()->subject, "CN=example.org");
    stream.aclose();
  }
}

FIBER_TEST(OpensslCommandTest, ClientRefusesServerOfAnUnknownAuthority) {
  WEFT_NOT_SWEPT("hundreds of runs of another program take minutes");
  WEFT_NOT_FAULT_SWEPT("its command plays with descriptors that nobody owns");
  OpensslCommand command;
  const std::uint16_t port = start_server(command, {});
  SSLStream stream = open_ssl_over_tcp_stream("127.0.0.1", port);
  broken_because<SSLCertVerificationError>([&] { stream.do_handshake(); });
  // It was told why, and so it says.
  expect_contains(command.read_until("alert"), "unknown ca");
}

FIBER_TEST(OpensslCommandTest, ServerHasTheClientProveWhoItIs) {
  WEFT_NOT_SWEPT("hundreds of runs of another program take minutes");
  WEFT_NOT_FAULT_SWEPT("its command plays with descriptors that nobody owns");
  const TestCertificate alice = test_authority().issue("alice", {});
  SSLContext demanding = test_server_context();
  demanding.load_verify_pem(test_authority().certificate());
  demanding.set_verify_mode(VerifyMode::kRequired);
  auto listeners = open_ssl_over_tcp_listeners(0, demanding, {.tcp = {.host = "127.0.0.1"}});
  const std::uint16_t port = listeners.front().transport_listener.local_address().port();
  for (const Version& version : kVersions) {
    OpensslCommand command;
    command.start({"s_client", "-connect", "127.0.0.1:" + std::to_string(port), version.option,
                   "-CAfile", command.write("ca.pem", test_authority().certificate()),
                   "-verify_return_error", "-verify_hostname", "example.org", "-cert",
                   command.write("cert.pem", alice.certificate), "-key",
                   command.write("key.pem", alice.key), "-quiet"});
    SSLStream stream = listeners.front().accept();
    command.say("hello\n");
    BufferedReceiveStream in(stream);
    EXPECT_EQ(in.receive_line(), "hello");
    EXPECT_EQ(stream.version(), version.name);
    EXPECT_EQ(stream.getpeercert()->subject, "CN=alice");
    stream.send_all("goodbye\n");
    expect_contains(command.read_until("goodbye"), "goodbye");
    stream.aclose();
  }
}

FIBER_TEST(OpensslCommandTest, ServerSurvivesAClientThatDoesNotTrustIt) {
  WEFT_NOT_SWEPT("hundreds of runs of another program take minutes");
  WEFT_NOT_FAULT_SWEPT("its command plays with descriptors that nobody owns");
  auto listeners =
      open_ssl_over_tcp_listeners(0, test_server_context(), {.tcp = {.host = "127.0.0.1"}});
  const std::uint16_t port = listeners.front().transport_listener.local_address().port();
  OpensslCommand command;
  command.start({"s_client", "-connect", "127.0.0.1:" + std::to_string(port),
                 "-verify_return_error", "-quiet"});
  SSLStream stream = listeners.front().accept();
  expect_contains(broken_because<SSLError>([&] { stream.receive_some(); }), "unknown ca");
}

}  // namespace
}  // namespace weft::fibers
