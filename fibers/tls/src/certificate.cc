// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/tls/certificate.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>

#include "fibers/tls/session/openssl.h"

namespace weft::fibers::detail {

namespace {

using NamesPtr = OpensslPtr<GENERAL_NAMES, GENERAL_NAMES_free>;
using NumberPtr = OpensslPtr<BIGNUM, BN_free>;

std::string one_line(const X509_NAME* name) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  if (out == nullptr || X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253) < 0) {
    throw_ssl_error("reading a certificate's names");
  }
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

std::string serial_of(const X509& certificate) {
  const NumberPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(&certificate), nullptr));
  char* text = number == nullptr ? nullptr : BN_bn2hex(number.get());
  if (text == nullptr) throw_ssl_error("reading a certificate's serial number");
  std::string serial(text);
  OPENSSL_free(text);
  return serial;
}

std::chrono::sys_seconds time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) throw_ssl_error("reading a certificate's dates");
  return std::chrono::sys_seconds(std::chrono::seconds(::timegm(&parts)));
}

void add_address(const ASN1_OCTET_STRING& bytes, std::vector<std::string>& addresses) {
  const int size = ASN1_STRING_length(&bytes);
  const int family = size == 4 ? AF_INET : AF_INET6;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (size != 4 && size != 16) return;
  if (::inet_ntop(family, ASN1_STRING_get0_data(&bytes), text.data(), text.size()) != nullptr) {
    addresses.emplace_back(text.data());
  }
}

void read_alternative_names(X509& certificate, Certificate& result) {
  const NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr) return;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int type = 0;
    const void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type);
    const auto& text = *static_cast<const ASN1_STRING*>(value);
    if (type == GEN_DNS) {
      const void* data = ASN1_STRING_get0_data(&text);
      result.dns_names.emplace_back(static_cast<const char*>(data),
                                    static_cast<std::size_t>(ASN1_STRING_length(&text)));
    } else if (type == GEN_IPADD) {
      add_address(text, result.ip_addresses);
    }
  }
}

std::string der_of(X509& certificate) {
  const int size = i2d_X509(&certificate, nullptr);
  if (size < 0) throw_ssl_error("writing a certificate");
  std::string der(static_cast<std::size_t>(size), '\0');
  auto* out = static_cast<unsigned char*>(static_cast<void*>(der.data()));
  i2d_X509(&certificate, &out);
  return der;
}

}  // namespace

Certificate read_certificate(X509& certificate) {
  Certificate result{.subject = one_line(X509_get_subject_name(&certificate)),
                     .issuer = one_line(X509_get_issuer_name(&certificate)),
                     .serial_number = serial_of(certificate),
                     .dns_names = {},
                     .ip_addresses = {},
                     .not_before = time_of(X509_get0_notBefore(&certificate)),
                     .not_after = time_of(X509_get0_notAfter(&certificate)),
                     .der = der_of(certificate)};
  read_alternative_names(certificate, result);
  return result;
}

}  // namespace weft::fibers::detail
