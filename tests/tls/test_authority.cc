// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/tls/test_authority.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <cstdint>
#include <stdexcept>

#include "fibers/tls/session/openssl.h"

namespace weft::fibers {

using detail::BioPtr;
using detail::KeyPtr;
using detail::X509Ptr;

namespace {

constexpr long kDay = 24 * 60 * 60;

void need(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string("making a test certificate: ") + what);
}

std::string text_of(BIO& bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(&bio, &text);
  return {text, static_cast<std::size_t>(size)};
}

std::string pem_of(X509& certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  need(PEM_write_bio_X509(out.get(), &certificate) == 1, "writing it");
  return text_of(*out);
}

std::string pem_of(EVP_PKEY& key) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  need(PEM_write_bio_PrivateKey(out.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
       "writing its key");
  return text_of(*out);
}

void add_extension(X509& certificate, X509& issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
  need(extension != nullptr, value.c_str());
  X509_add_ext(&certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

X509Ptr unsigned_certificate(const std::string& name, EVP_PKEY& key, int from, int until) {
  X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  std::uint32_t serial = 0;
  RAND_bytes(static_cast<unsigned char*>(static_cast<void*>(&serial)), sizeof serial);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), from * kDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), until * kDay);
  const void* text = name.data();
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             static_cast<const unsigned char*>(text), static_cast<int>(name.size()),
                             -1, 0);
  X509_set_pubkey(certificate.get(), &key);
  return certificate;
}

std::string alternative_names(const TestCertificateOptions& options) {
  std::string names;
  for (const std::string& name : options.dns_names) names += ",DNS:" + name;
  for (const std::string& address : options.ip_addresses) names += ",IP:" + address;
  return names.empty() ? names : names.substr(1);
}

}  // namespace

struct TestAuthority::Identity {
  KeyPtr key{EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")};
  X509Ptr certificate;
};

TestAuthority::TestAuthority(const std::string& name) : identity_(std::make_unique<Identity>()) {
  EVP_PKEY& key = *identity_->key;
  identity_->certificate = unsigned_certificate(name, key, -2, 2);
  X509& own = *identity_->certificate;
  X509_set_issuer_name(&own, X509_get_subject_name(&own));
  add_extension(own, own, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(own, own, NID_subject_key_identifier, "hash");
  need(X509_sign(&own, &key, EVP_sha256()) > 0, "signing");
  certificate_ = pem_of(own);
}

TestAuthority::TestAuthority(const std::string& name, const TestAuthority& issuer)
    : identity_(std::make_unique<Identity>()) {
  identity_->certificate = unsigned_certificate(name, *identity_->key, -2, 2);
  X509& own = *identity_->certificate;
  X509& above = *issuer.identity_->certificate;
  X509_set_issuer_name(&own, X509_get_subject_name(&above));
  add_extension(own, above, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(own, above, NID_subject_key_identifier, "hash");
  need(X509_sign(&own, issuer.identity_->key.get(), EVP_sha256()) > 0, "signing");
  certificate_ = pem_of(own);
}

TestAuthority::~TestAuthority() = default;

TestCertificate TestAuthority::issue(const std::string& name,
                                     const TestCertificateOptions& options) const {
  const KeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  const X509Ptr made = unsigned_certificate(name, *key, options.valid_from, options.valid_until);
  X509& issuer = *identity_->certificate;
  X509_set_issuer_name(made.get(), X509_get_subject_name(&issuer));
  const std::string names = alternative_names(options);
  if (!names.empty()) add_extension(*made, issuer, NID_subject_alt_name, names);
  need(X509_sign(made.get(), identity_->key.get(), EVP_sha256()) > 0, "signing");
  return {.certificate = pem_of(*made), .key = pem_of(*key)};
}

const TestAuthority& test_authority() {
  static const TestAuthority authority("Test Root");
  return authority;
}

const TestCertificate& test_certificate() {
  static const TestCertificate certificate = test_authority().issue(
      "example.org", {.dns_names = {"example.org"}, .ip_addresses = {"127.0.0.1"}});
  return certificate;
}

SSLContext test_server_context() {
  SSLContext context = SSLContext::server();
  context.load_cert_chain_pem(test_certificate().certificate, test_certificate().key);
  return context;
}

SSLContext test_client_context() {
  SSLContext context = SSLContext::client({.system_trust_store = false});
  context.load_verify_pem(test_authority().certificate());
  return context;
}

}  // namespace weft::fibers
