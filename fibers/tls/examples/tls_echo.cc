// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// TLS on both ends: a server for which every connection is a task, a client that knows whom it
// trusts, and one that does not trust this server. With a port (0: any) it serves there until
// Ctrl-C, without clients of its own.
//
// Prints:
//   TLSv1.3 with CN=localhost
//   echo: can anybody hear us?
//   the other client: TLS handshake: certificate verify failed: self-signed certificate

#include <cstdint>
#include <exception>
#include <iostream>
#include <string>

#include "weft/fibers/async_resource.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/main.h"
#include "weft/fibers/nursery.h"
#include "weft/tls/ssl_error.h"
#include "weft/tls/ssl_over_tcp.h"

namespace trio = weft::fibers;

namespace {

// Of nobody: anybody may read the key here.
constexpr const char* kCertificate = R"(-----BEGIN CERTIFICATE-----
MIIBmjCCAUGgAwIBAgIUQmRIDqBahoISJir2Wt3+iQ/QA98wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNDAyMzE1NVoYDzIxMjYxMDMx
MDIzMTU1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATNrZ5Zabrh8d0XDRXeysN7oaUy89n2Th99VpZ3dcVGXQCk7p0y3mF+
8f5POin/6yY2CZYs3xJ52va0/GCUNU0xo28wbTAdBgNVHQ4EFgQUs9Q7eRY9W7k8
R/qBm2Rfd+CNOMMwHwYDVR0jBBgwFoAUs9Q7eRY9W7k8R/qBm2Rfd+CNOMMwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDRwAwRAIgHMSG41WFLbRLfswQQ4MpdyRubZQd9WX2GGQAzY0vvp8CIFgC
zPb5Ps4Vu+oq1cK9BYrxKon2NvJeZciWRf+ddcRZ
-----END CERTIFICATE-----
)";
constexpr const char* kKey = R"(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgRmUQMkuq6smtPjqk
joHcXPNHLYmf3lqS5QF0TEdxQ+ihRANCAATNrZ5Zabrh8d0XDRXeysN7oaUy89n2
Th99VpZ3dcVGXQCk7p0y3mF+8f5POin/6yY2CZYs3xJ52va0/GCUNU0x
-----END PRIVATE KEY-----
)";

void echo(trio::SSLStream& stream) {
  try {
    for (std::string data; !(data = stream.receive_some()).empty();) {
      stream.send_all("echo: " + data);
    }
    stream.aclose();  // With a goodbye, so that the client knows that this was all.
  } catch (const trio::BrokenResourceError&) {
    // One client's doing: the others go on.
  }
}

void talk(std::uint16_t port) {
  trio::SSLContext trusting = trio::SSLContext::client({.system_trust_store = false});
  trusting.load_verify_pem(kCertificate);
  trio::aclosing(trio::open_ssl_over_tcp_stream("localhost", port, {.ssl_context = trusting}),
                 [](trio::SSLStream& stream) {
                   stream.do_handshake();
                   std::cout << stream.version() << " with " << stream.getpeercert()->subject
                             << '\n';
                   stream.send_all("can anybody hear us?");
                   std::cout << stream.receive_some() << '\n';
                 });
}

void distrust(std::uint16_t port) {
  try {  // As everybody should: trusting whom this machine trusts.
    trio::open_ssl_over_tcp_stream("localhost", port).send_all("secret");
  } catch (const trio::BrokenResourceError& broken) {
    try {
      std::rethrow_if_nested(broken);  // By what?
    } catch (const trio::SSLCertVerificationError& error) {
      std::cout << "the other client: " << error.what() << '\n';
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return trio::main([&] {
    trio::SSLContext context = trio::SSLContext::server();
    context.load_cert_chain_pem(kCertificate, kKey);
    trio::open_nursery([&](trio::Nursery& nursery) {
      const auto wanted = static_cast<std::uint16_t>(argc > 1 ? std::stoi(argv[1]) : 0);
      const auto port =
          nursery.start<std::uint16_t>([&context, wanted](trio::TaskStatus<std::uint16_t>& status) {
            trio::serve_ssl_over_tcp(echo, wanted, context, {.tcp = {.host = "localhost"}}, status);
          });
      if (argc > 1) {
        std::cout << "serving on port " << port << std::endl;
        return;  // The nursery goes on serving.
      }
      talk(port);
      distrust(port);
      nursery.cancel_scope().cancel();  // The server would go on for ever.
    });
  });
}
