// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// OpenSSL's objects with owners, and its error queue as exceptions.

#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>

#include "weft/tls/ssl_error.h"

namespace weft::fibers::detail {

template <auto kFree>
struct OpensslFree {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};
template <class T, auto kFree>
using OpensslPtr = std::unique_ptr<T, OpensslFree<kFree>>;

using BioPtr = OpensslPtr<BIO, BIO_free>;
using KeyPtr = OpensslPtr<EVP_PKEY, EVP_PKEY_free>;
using SslPtr = OpensslPtr<SSL, SSL_free>;
using SslCtxPtr = OpensslPtr<SSL_CTX, SSL_CTX_free>;
using X509Ptr = OpensslPtr<X509, X509_free>;

// A BIO that reads `text`, which has to outlive it.
BioPtr bio_of(std::string_view text);

// What the oldest entry of the thread's error queue says; empties it. The queue is the thread's, so
// between the failing call and this no other task may run.
std::string last_error_text(unsigned long& code);
// "<doing>: <what OpenSSL says>".
[[noreturn]] void throw_ssl_error(const std::string& doing);

}  // namespace weft::fibers::detail
