// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/tls/ssl_context.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "tests/tls/ssl_pairs.h"
#include "tests/tls/test_authority.h"
#include "tests/tls/tls_testing.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/tls/ssl_error.h"

namespace weft::fibers {
namespace {

class SSLContextTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = (std::filesystem::temp_directory_path() / "weft_XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + '/' + name; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
    return path(name);
  }

 private:
  std::string folder_;
};

std::string error_of(const std::function<void()>& fn) {
  try {
    fn();
  } catch (const SSLError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST_F(SSLContextTest, DefaultsAreSafe) {
  const SSLContext client = SSLContext::client();
  EXPECT_FALSE(client.is_server());
  EXPECT_TRUE(client.check_hostname());
  EXPECT_EQ(client.verify_mode(), VerifyMode::kRequired);
  EXPECT_EQ(SSL_CTX_get_min_proto_version(client.native_handle()), TLS1_2_VERSION);
  const SSLContext server = SSLContext::server();
  EXPECT_TRUE(server.is_server());
  EXPECT_FALSE(server.check_hostname());
  EXPECT_EQ(server.verify_mode(), VerifyMode::kNone);
}

TEST_F(SSLContextTest, LoadsACertificateFromFiles) {
  const TestCertificate& own = test_certificate();
  SSLContext context = SSLContext::server();
  context.load_cert_chain(write("cert.pem", own.certificate), write("key.pem", own.key));
  SSLContext single = SSLContext::server();
  single.load_cert_chain(write("both.pem", own.certificate + own.key));
  EXPECT_NE(SSL_CTX_get0_certificate(single.native_handle()), nullptr);
}

TEST_F(SSLContextTest, ErrorsNameTheFile) {
  const TestCertificate& own = test_certificate();
  const std::string certificate = write("cert.pem", own.certificate);
  const std::string key = write("key.pem", own.key);
  const std::string rubbish = write("rubbish.pem", "rubbish");
  SSLContext context = SSLContext::server();
  std::string error = error_of([&] { context.load_cert_chain(path("absent.pem"), key); });
  expect_contains(error, "certificate chain in '" + path("absent.pem") + "'");
  expect_contains(error, "No such file");
  error = error_of([&] { context.load_cert_chain(rubbish, key); });
  expect_contains(error, "certificate chain in '" + rubbish + "'");
  error = error_of([&] { context.load_cert_chain(certificate, path("absent.pem")); });
  expect_contains(error, "private key in '" + path("absent.pem") + "'");
  error = error_of([&] { context.load_cert_chain(certificate, rubbish); });
  expect_contains(error, "private key in '" + rubbish + "'");
  error = error_of([&] { context.load_verify_locations(path("absent.pem")); });
  expect_contains(error, "trusted certificates in '" + path("absent.pem") + "'");
  error = error_of([&] { context.load_verify_locations(rubbish); });
  expect_contains(error, "'" + rubbish + "'");
}

TEST_F(SSLContextTest, KeyHasToFitTheCertificate) {
  const TestCertificate other = test_authority().issue("other", {});
  const std::string certificate = write("cert.pem", test_certificate().certificate);
  const std::string key = write("key.pem", other.key);
  SSLContext context = SSLContext::server();
  const std::string error = error_of([&] { context.load_cert_chain(certificate, key); });
  expect_contains(error, key);
  expect_contains(error, "mismatch");
  EXPECT_THROW(context.load_cert_chain_pem(test_certificate().certificate, other.key), SSLError);
}

TEST_F(SSLContextTest, TrustsFilesAndFolders) {
  SSLContext context = SSLContext::client({.system_trust_store = false});
  context.load_verify_locations(write("ca.pem", test_authority().certificate()));
  context.load_verify_locations(path(""));
  EXPECT_THROW(context.load_verify_pem(""), SSLError);
  EXPECT_THROW(context.load_verify_pem(test_authority().certificate() +
                                       "-----BEGIN CERTIFICATE-----\nrubbish\n"
                                       "-----END CERTIFICATE-----\n"),
               SSLError);
}

TEST_F(SSLContextTest, CiphersAreChecked) {
  SSLContext context = SSLContext::client();
  context.set_ciphers("ECDHE+AESGCM");
  context.set_ciphersuites("TLS_AES_256_GCM_SHA384");
  expect_contains(error_of([&] { context.set_ciphers("nonsense"); }), "'nonsense'");
  expect_contains(error_of([&] { context.set_ciphersuites("nonsense"); }), "'nonsense'");
}

TEST_F(SSLContextTest, ProtocolNamesAreChecked) {
  SSLContext context = SSLContext::client();
  context.set_alpn_protocols({});
  context.set_alpn_protocols({"h2", std::string(255, 'x')});
  EXPECT_THROW(context.set_alpn_protocols({"h2", ""}), UsageError);
  EXPECT_THROW(context.set_alpn_protocols({std::string(256, 'x')}), UsageError);
}

TEST_F(SSLContextTest, HostNameIsCheckedOfVerifiedCertificatesOnly) {
  SSLContext context = SSLContext::client();
  EXPECT_THROW(context.set_verify_mode(VerifyMode::kNone), UsageError);
  context.set_check_hostname(false);
  context.set_verify_mode(VerifyMode::kNone);
  EXPECT_EQ(context.verify_mode(), VerifyMode::kNone);
  EXPECT_THROW(context.set_check_hostname(true), UsageError);
  context.set_verify_mode(VerifyMode::kRequired);
  context.set_check_hostname(true);
  EXPECT_TRUE(context.check_hostname());
  SSLContext server = SSLContext::server();
  EXPECT_THROW(server.set_check_hostname(true), UsageError);
  server.set_verify_mode(VerifyMode::kOptional);
  EXPECT_EQ(server.verify_mode(), VerifyMode::kOptional);
}

// --- An SSL_CTX of somebody else's. ---

// As a library would have set it up, with the test's authority and certificate.
struct Native {
  explicit Native(const SSLContext& model, const SSL_METHOD* method) : ctx(SSL_CTX_new(method)) {
    SSL_CTX* const from = model.native_handle();
    SSL_CTX_set1_cert_store(ctx, SSL_CTX_get_cert_store(from));
    if (X509* const own = SSL_CTX_get0_certificate(from)) {
      SSL_CTX_use_certificate(ctx, own);
      SSL_CTX_use_PrivateKey(ctx, SSL_CTX_get0_privatekey(from));
    }
  }
  Native(const Native&) = delete;
  Native& operator=(const Native&) = delete;
  ~Native() { SSL_CTX_free(ctx); }
  SSL_CTX* const ctx;
};

FIBER_TEST(SSLContextNativeTest, ConnectionsAreMadeWithTheirContexts) {
  const Native accepting(test_server_context(), TLS_server_method());
  const Native connecting(test_client_context(), TLS_client_method());
  SSL_CTX_set_verify(connecting.ctx, SSL_VERIFY_PEER, nullptr);
  const SSLContext server = SSLContext::from_native(accepting.ctx, {.server = true});
  const SSLContext client = SSLContext::from_native(connecting.ctx);
  EXPECT_TRUE(server.is_server());
  EXPECT_FALSE(server.check_hostname());
  EXPECT_FALSE(client.is_server());
  EXPECT_TRUE(client.check_hostname());
  EXPECT_EQ(client.verify_mode(), VerifyMode::kRequired);
  EXPECT_EQ(client.native_handle(), connecting.ctx);
  auto [ours, theirs] = ssl_pair_over(testing::memory_stream_pair(), client, server);
  shake_hands(ours, theirs);
  ours.send_all("through");
  EXPECT_EQ(receive_exactly(theirs, 7), "through");
}

FIBER_TEST(SSLContextNativeTest, TheHostNameIsChecked) {
  WEFT_NOT_ALLOCATION_SWEPT("its other side waits for what is never sent");
  const Native connecting(test_client_context(), TLS_client_method());
  SSL_CTX_set_verify(connecting.ctx, SSL_VERIFY_PEER, nullptr);
  auto transports = testing::memory_stream_pair();
  SSLStream client(std::move(transports.first), SSLContext::from_native(connecting.ctx),
                   {.server_hostname = "other.example"});
  SSLStream server(std::move(transports.second), test_server_context(), {.server_side = true});
  together(
      [&] {
        expect_contains(broken_because<SSLCertVerificationError>([&] { client.do_handshake(); }),
                        "certificate is not valid for 'other.example'");
      },
      [&] { broken_because<SSLError>([&] { server.do_handshake(); }); });
}

TEST(SSLContextNativeTest, TheSslCtxAndWhatItRefersToLiveAsLongAsTheContext) {
  auto referred = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = referred;
  SSL_CTX* const ctx = SSL_CTX_new(TLS_server_method());
  std::optional<SSLContext> context =
      SSLContext::from_native(ctx, {.server = true, .keep_alive = std::move(referred)});
  SSL_CTX_free(ctx);
  std::optional<SSLContext> copy = context;
  context.reset();
  EXPECT_FALSE(seen.expired());
  EXPECT_EQ(SSL_CTX_get_verify_mode(copy->native_handle()), SSL_VERIFY_NONE);
  copy.reset();
  EXPECT_TRUE(seen.expired());
}

TEST(SSLContextNativeTest, WhatCannotBeRightIsRefused) {
  EXPECT_THROW(SSLContext::from_native(nullptr), UsageError);
  const Native lax(SSLContext::client({.system_trust_store = false}), TLS_client_method());
  EXPECT_THROW(SSLContext::from_native(lax.ctx), UsageError) << "it verifies no certificate";
  SSLContext context = SSLContext::from_native(lax.ctx, {.check_hostname = false});
  EXPECT_EQ(context.verify_mode(), VerifyMode::kNone);
  EXPECT_THROW(context.set_alpn_protocols({"h2"}), UsageError);
}

}  // namespace
}  // namespace weft::fibers
