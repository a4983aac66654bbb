// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Who is trusted, and what is known after a handshake.

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>

#include "tests/tls/ssl_pairs.h"
#include "tests/tls/tls_testing.h"
#include "weft/fibers/testing/fiber_test.h"

namespace weft::fibers {
namespace {

SSLContext server_with(const TestCertificate& certificate) {
  SSLContext context = SSLContext::server();
  context.load_cert_chain_pem(certificate.certificate, certificate.key);
  return context;
}

// What the client says to a handshake that fails.
std::string refusal(const SSLContext& client_context, const SSLContext& server_context,
                    const std::string& host) {
  auto [a, b] = testing::memory_stream_pair();
  SSLStream client(std::move(a), client_context, {.server_hostname = host});
  SSLStream server(std::move(b), server_context, {.server_side = true});
  std::string why;
  // Each is closed: the other would wait for one that has failed in another way than it had to.
  together(
      [&] {
        why = broken_because<SSLCertVerificationError>([&] { client.do_handshake(); });
        aclose_forcefully(client);
      },
      [&] {
        EXPECT_THROW(server.receive_some(), BrokenResourceError);
        aclose_forcefully(server);
      });
  return why;
}

// Whether hands can be shaken.
void expect_accepted(const SSLContext& client_context, const SSLContext& server_context,
                     const std::string& host) {
  auto [a, b] = testing::memory_stream_pair();
  SSLStream client(std::move(a), client_context, {.server_hostname = host});
  SSLStream server(std::move(b), server_context, {.server_side = true});
  shake_hands(client, server);
}

// trio: test_ssl.py::test_ssl_client_basics
FIBER_TEST(HandshakeTest, UnknownAuthorityIsNotTrusted) {
  WEFT_NOT_ALLOCATION_SWEPT("its other side waits for what is never sent");
  const SSLContext trusts_system = SSLContext::client();
  expect_contains(refusal(trusts_system, test_server_context(), "example.org"),
                  "unable to get local issuer certificate");
}

// trio: test_ssl.py::test_ssl_client_basics
FIBER_TEST(HandshakeTest, CertificateHasToBeForTheHost) {
  WEFT_NOT_ALLOCATION_SWEPT("its other side waits for what is never sent");
  const std::string why = refusal(test_client_context(), test_server_context(), "evil.example");
  expect_contains(why, "hostname mismatch");
  expect_contains(why, "'evil.example'");
  SSLContext careless = test_client_context();
  careless.set_check_hostname(false);
  expect_accepted(careless, test_server_context(), "evil.example");
  expect_accepted(careless, test_server_context(), "");
}

FIBER_TEST(HandshakeTest, HostMayBeAnAddress) {
  WEFT_NOT_ALLOCATION_SWEPT("its other side waits for what is never sent");
  expect_accepted(test_client_context(), test_server_context(), "127.0.0.1");
  const std::string why = refusal(test_client_context(), test_server_context(), "127.0.0.2");
  expect_contains(why, "IP address mismatch");
  expect_contains(why, "'127.0.0.2'");
}

FIBER_TEST(HandshakeTest, NamesMayHaveAWildcardAndADotAtTheEnd) {
  WEFT_NOT_ALLOCATION_SWEPT("its other side waits for what is never sent");
  const SSLContext server =
      server_with(test_authority().issue("wild", {.dns_names = {"*.example.net"}}));
  expect_accepted(test_client_context(), server, "www.example.net");
  expect_accepted(test_client_context(), server, "www.example.net.");
  expect_contains(refusal(test_client_context(), server, "example.net"), "hostname mismatch");
  expect_contains(refusal(test_client_context(), server, "a.b.example.net"), "hostname mismatch");
}

FIBER_TEST(HandshakeTest, NamesMayBeInternational) {
  const SSLContext server =
      server_with(test_authority().issue("idn", {.dns_names = {"xn--bcher-kva.example"}}));
  for (const char* name : {"bücher.example", "BÜCHER.example", "bu\u0308cher.example",
                           "bücher。example", "bücher.example.", "xn--bcher-kva.example"}) {
    SCOPED_TRACE(name);
    expect_accepted(test_client_context(), server, name);
  }
  const std::string why = refusal(test_client_context(), server, "büche.example");
  expect_contains(why, "hostname mismatch");
  expect_contains(why, "'büche.example'");
  // IDNA 2008: no "ss".
  const SSLContext sharp =
      server_with(test_authority().issue("sharp", {.dns_names = {"xn--strae-oqa.example"}}));
  expect_accepted(test_client_context(), sharp, "straße.example");
}

FIBER_TEST(HandshakeTest, TheServerIsAskedForTheNameInAscii) {
  WEFT_NOT_ALLOCATION_SWEPT("its other side waits for what is never sent");
  auto [a, b] = testing::memory_stream_pair();
  SSLStream client(std::move(a), test_client_context(), {.server_hostname = "bücher.example"});
  EXPECT_EQ(client.server_hostname(), "bücher.example");
  together([&] { EXPECT_THROW(client.do_handshake(), BrokenResourceError); },
           [&] {
             expect_contains(b.receive_some(), "xn--bcher-kva.example");
             b.aclose();
           });
}

FIBER_TEST(HandshakeTest, CertificateHasItsTime) {
  WEFT_NOT_ALLOCATION_SWEPT("its other side waits for what is never sent");
  const auto valid = [](int from, int until) {
    return server_with(test_authority().issue(
        "example.org", {.dns_names = {"example.org"}, .valid_from = from, .valid_until = until}));
  };
  expect_accepted(test_client_context(), valid(-1, 1), "example.org");
  expect_contains(refusal(test_client_context(), valid(-3, -1), "example.org"),
                  "certificate has expired");
  expect_contains(refusal(test_client_context(), valid(1, 3), "example.org"),
                  "certificate is not yet valid");
}

FIBER_TEST(HandshakeTest, ChainMayBeLongButNotBroken) {
  WEFT_NOT_ALLOCATION_SWEPT("its other side waits for what is never sent");
  const TestAuthority middle("Test Intermediate", test_authority());
  const TestCertificate leaf = middle.issue("example.org", {.dns_names = {"example.org"}});
  const TestCertificate with_chain{.certificate = leaf.certificate + middle.certificate(),
                                   .key = leaf.key};
  expect_accepted(test_client_context(), server_with(with_chain), "example.org");
  expect_contains(refusal(test_client_context(), server_with(leaf), "example.org"),
                  "unable to get local issuer certificate");
}

FIBER_TEST(HandshakeTest, ClientMayHaveToShowACertificate) {
  WEFT_NOT_ALLOCATION_SWEPT("its other side waits for what is never sent");
  const TestCertificate alice = test_authority().issue("alice", {});
  SSLContext demanding = test_server_context();
  demanding.load_verify_pem(test_authority().certificate());
  demanding.set_verify_mode(VerifyMode::kRequired);
  SSLContext known = test_client_context();
  known.load_cert_chain_pem(alice.certificate, alice.key);
  {
    auto [a, b] = testing::memory_stream_pair();
    SSLStream client(std::move(a), known, {.server_hostname = "example.org"});
    SSLStream server(std::move(b), demanding, {.server_side = true});
    shake_hands(client, server);
    EXPECT_EQ(server.getpeercert()->subject, "CN=alice");
  }
  auto [a, b] = testing::memory_stream_pair();
  SSLStream client(std::move(a), test_client_context(), {.server_hostname = "example.org"});
  SSLStream server(std::move(b), demanding, {.server_side = true});
  together([&] { EXPECT_THROW(client.receive_some(), BrokenResourceError); },
           [&] {
             expect_contains(broken_because<SSLError>([&] { server.do_handshake(); }),
                             "peer did not return a certificate");
           });
}

FIBER_TEST(HandshakeTest, VersionsHaveToMeet) {
  WEFT_NOT_ALLOCATION_SWEPT("its other side waits for what is never sent");
  SSLContext modern = test_client_context();
  modern.set_minimum_version(TLSVersion::kTls13);
  SSLContext old = test_server_context();
  old.set_maximum_version(TLSVersion::kTls12);
  auto [a, b] = testing::memory_stream_pair();
  SSLStream client(std::move(a), modern, {.server_hostname = "example.org"});
  SSLStream server(std::move(b), old, {.server_side = true});
  together([&] { broken_because<SSLError>([&] { client.do_handshake(); }); },
           [&] { broken_because<SSLError>([&] { server.do_handshake(); }); });
}

// --- What is known, and when. ---

// trio: test_ssl.py::test_attributes
FIBER_TEST(SSLStreamAttributesTest, SomeAreKnownFromTheBeginning) {
  auto [client, server] = ssl_memory_pair();
  EXPECT_FALSE(client.server_side());
  EXPECT_TRUE(server.server_side());
  EXPECT_EQ(client.server_hostname(), "example.org");
  EXPECT_EQ(server.server_hostname(), "");
  EXPECT_FALSE(client.context().is_server());
  EXPECT_NE(client.native_handle(), nullptr);
  EXPECT_THROW(client.transport_stream<SocketStream>(), std::bad_cast);
}

// trio: test_ssl.py::test_attributes
FIBER_TEST(SSLStreamAttributesTest, TheRestNeedsAHandshake) {
  auto [client, server] = ssl_memory_pair();
  EXPECT_THROW(client.version(), NeedHandshakeError);
  EXPECT_THROW(client.cipher(), NeedHandshakeError);
  shake_hands(client, server);
  EXPECT_EQ(client.version(), "TLSv1.3");
  EXPECT_EQ(client.cipher().name, server.cipher().name);
  EXPECT_EQ(client.cipher().protocol, "TLSv1.3");
  EXPECT_GE(client.cipher().secret_bits, 128);
}

// trio: test_ssl.py::test_getpeercert
FIBER_TEST(SSLStreamAttributesTest, PeersCertificate) {
  auto [client, server] = ssl_memory_pair();
  EXPECT_THROW(client.getpeercert(), NeedHandshakeError);
  shake_hands(client, server);
  EXPECT_EQ(server.getpeercert(), std::nullopt);
  const auto certificate = client.getpeercert();
  ASSERT_TRUE(certificate.has_value());
  EXPECT_EQ(certificate->subject, "CN=example.org");
  EXPECT_EQ(certificate->issuer, "CN=Test Root");
  EXPECT_EQ(certificate->dns_names, std::vector<std::string>{"example.org"});
  EXPECT_EQ(certificate->ip_addresses, std::vector<std::string>{"127.0.0.1"});
  EXPECT_EQ(certificate->not_after - certificate->not_before, std::chrono::hours(48));
  EXPECT_FALSE(certificate->serial_number.empty());
  EXPECT_FALSE(certificate->der.empty());
}

SSLPair alpn_pair(const std::vector<std::string>& clients,
                  const std::vector<std::string>& servers) {
  SSLContext client = test_client_context();
  client.set_alpn_protocols(clients);
  SSLContext server = test_server_context();
  server.set_alpn_protocols(servers);
  return ssl_pair_over(testing::memory_stream_pair(), client, server);
}

// trio: test_ssl.py::test_selected_alpn_protocol_before_handshake
FIBER_TEST(SSLStreamAttributesTest, ProtocolIsAgreedOnInTheHandshake) {
  auto [client, server] = alpn_pair({"http/1.1", "h2"}, {"h2", "http/1.1"});
  EXPECT_THROW(client.selected_alpn_protocol(), NeedHandshakeError);
  EXPECT_THROW(server.selected_alpn_protocol(), NeedHandshakeError);
  shake_hands(client, server);
  EXPECT_EQ(client.selected_alpn_protocol(), "h2");
  EXPECT_EQ(server.selected_alpn_protocol(), "h2");
}

// trio: test_ssl.py::test_selected_alpn_protocol_when_not_set
FIBER_TEST(SSLStreamAttributesTest, NoProtocolIsFine) {
  auto [client, server] = ssl_memory_pair();
  shake_hands(client, server);
  EXPECT_EQ(client.selected_alpn_protocol(), std::nullopt);
  EXPECT_EQ(server.selected_alpn_protocol(), std::nullopt);
  auto [one, other] = alpn_pair({"h2"}, {"spdy"});
  shake_hands(one, other);
  EXPECT_EQ(one.selected_alpn_protocol(), std::nullopt);
}

// trio: test_ssl.py::test_get_channel_binding_before_handshake
FIBER_TEST(SSLStreamAttributesTest, ChannelBindingNeedsAHandshake) {
  auto [client, server] = ssl_memory_pair();
  EXPECT_THROW(client.get_channel_binding(), NeedHandshakeError);
  EXPECT_THROW(server.get_channel_binding("tls-exporter"), NeedHandshakeError);
}

// trio: test_ssl.py::test_get_channel_binding_after_handshake
FIBER_TEST(SSLStreamAttributesTest, ChannelBindingIsTheSameOnBothSides) {
  std::string last;
  for (const TLSVersion version : {TLSVersion::kTls12, TLSVersion::kTls13}) {
    auto [client, server] = ssl_memory_pair({.version = version});
    shake_hands(client, server);
    for (const char* type : {"tls-unique", "tls-exporter"}) {
      const std::string binding = client.get_channel_binding(type);
      EXPECT_GE(binding.size(), 12U);
      EXPECT_EQ(binding, server.get_channel_binding(type));
      EXPECT_NE(binding, last);
      last = binding;
    }
    EXPECT_THROW(client.get_channel_binding("tls-server-end-point"), UsageError);
  }
}

// --- Mistakes. ---

FIBER_TEST(SSLStreamArgumentsTest, ContextHasToBeForTheSide) {
  const auto make = [](const SSLContext& context, const SSLStreamOptions& options) {
    SSLStream(testing::memory_stream_pair().first, context, options);
  };
  EXPECT_THROW(make(test_server_context(), {.server_hostname = "x"}), UsageError);
  EXPECT_THROW(make(test_client_context(), {.server_side = true}), UsageError);
  EXPECT_THROW(make(test_client_context(), {}), UsageError);
  EXPECT_THROW(make(test_client_context(), {.server_hostname = std::string(300, 'x')}), UsageError);
  for (const char* bad : {"b\xff.example", "-ü.example", "ü/b.example", "ü\u0378.example",
                          "bücher..example", "bücher。。example", "a..example", ".example"})
    EXPECT_THROW(make(test_client_context(), {.server_hostname = bad}), UsageError) << bad;
  const std::string cut_short("example.org\0.example.com", 24);
  EXPECT_THROW(make(test_client_context(), {.server_hostname = cut_short}), UsageError);
  EXPECT_THROW(SSLStream(std::unique_ptr<Stream>(), test_server_context(), {.server_side = true}),
               UsageError);
}

}  // namespace
}  // namespace weft::fibers
