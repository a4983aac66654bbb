// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A client of a TLS server, by streams; the server is here as well. In Python:
//
//   async def serve(reader, writer):
//       writer.write(b"echo: " + await reader.readline())
//       writer.close()
//       await writer.wait_closed()
//
//   async def main():
//       server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context)
//       port = server.sockets[0].getsockname()[1]
//       reader, writer = await asyncio.open_connection(
//           "127.0.0.1", port, ssl=client_context, server_hostname="localhost")
//       print(writer.get_extra_info("cipher")[1])
//       writer.write(b"can anybody hear us?\n")
//       print((await reader.readline()).decode(), end="")
//       writer.close()
//       await writer.wait_closed()
//       server.close()
//       await server.wait_closed()
//
//   asyncio.run(main())
//
// Prints:
//   TLSv1.3
//   echo: can anybody hear us?

#include <sys/socket.h>

#include <cstdint>
#include <iostream>
#include <string>

#include "weft/fibers/socket_address.h"
#include "weft/loop/runner.h"
#include "weft/loop/streams.h"
#include "weft/loop_tls/ssl_layer.h"

using weft::fibers::SocketAddress;
using weft::fibers::SSLContext;
using namespace weft::loop;

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

// server.sockets()[0].getsockname()[1]
std::uint16_t port_of(const Server& server) {
  SocketAddress address;
  auto size = static_cast<socklen_t>(SocketAddress::capacity());
  if (getsockname(server.sockets()[0], address.data(), &size) == 0) address.set_size(size);
  return address.port();
}

SSLContext server_context() {
  SSLContext context = SSLContext::server();
  context.load_cert_chain_pem(kCertificate, kKey);
  return context;
}
SSLContext client_context() {
  SSLContext context = SSLContext::client({.system_trust_store = false});
  context.load_verify_pem(kCertificate);
  return context;
}

Coro<void> serve(StreamReader reader, StreamWriter writer) {
  std::string line = co_await reader.readline();
  writer.write("echo: " + line);
  writer.close();
  co_await writer.wait_closed();
}

Coro<void> talk(SSLLayer& server_side, SSLLayer& client_side) {
  Server server = co_await start_server(serve, "127.0.0.1", 0, {.ssl = &server_side});
  const ConnectionOptions options{.ssl = &client_side, .server_hostname = "localhost"};
  auto [reader, writer] = co_await open_connection("127.0.0.1", port_of(server), options);
  std::cout << writer.get_extra_info(extra_info::cipher)->protocol << '\n';
  writer.write("can anybody hear us?\n");
  std::string answer = co_await reader.readline();
  std::cout << answer;
  writer.close();
  co_await writer.wait_closed();
  server.close();
  co_await server.wait_closed();
}

}  // namespace

int main() {
  SSLLayer server_side(server_context());
  SSLLayer client_side(client_context());
  run(talk(server_side, client_side));
}
