// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/socket/getaddrinfo.h"

#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <system_error>

#include "weft/fibers/errors.h"
#include "weft/fibers/socket/hooks.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;

// Every thread costs a token of the limiter: with none left, whoever wants one waits for ever.
class NoThreads {
 public:
  NoThreads() { to_thread::current_default_thread_limiter().set_total_tokens(0); }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;
  ~NoThreads() { to_thread::current_default_thread_limiter().set_total_tokens(40); }
};

// trio: test_socket.py::test_getaddrinfo
FIBER_TEST(GetaddrinfoTest, NumericAddressesNeedNoThread) {
  WEFT_NOT_FAULT_SWEPT("it has no thread to ask again in");
  const NoThreads none;
  assert_checkpoints([] {
    const auto found = socket::getaddrinfo("127.0.0.1", "12345", {.type = SOCK_STREAM});
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].family, AF_INET);
    EXPECT_EQ(found[0].type, SOCK_STREAM);
    EXPECT_EQ(found[0].proto, IPPROTO_TCP);
    EXPECT_EQ(found[0].address.to_string(), "127.0.0.1:12345");
  });
  const auto six = socket::getaddrinfo("::1", "12345", {.type = SOCK_DGRAM});
  ASSERT_EQ(six.size(), 1U);
  EXPECT_EQ(six[0].address.to_string(), "[::1]:12345");
  EXPECT_EQ(six[0].proto, IPPROTO_UDP);
  const auto any = socket::getaddrinfo("", "80", {.type = SOCK_STREAM, .flags = AI_PASSIVE});
  EXPECT_FALSE(any.empty());
}

// trio: test_socket.py::test_getaddrinfo
FIBER_TEST(GetaddrinfoTest, NamesAreLookedUpInAThread) {
  assert_checkpoints([] {
    const auto found = socket::getaddrinfo(
        "localhost", "12345", {.family = AF_INET, .type = SOCK_STREAM, .flags = AI_CANONNAME});
    ASSERT_FALSE(found.empty());
    EXPECT_EQ(found[0].address.to_string(), "127.0.0.1:12345");
    EXPECT_FALSE(found[0].canonname.empty());
  });
  const auto by_service = socket::getaddrinfo("127.0.0.1", "http", {.type = SOCK_STREAM});
  ASSERT_FALSE(by_service.empty());
  EXPECT_EQ(by_service[0].address.port(), 80);
}

// trio: test_socket.py::test_getaddrinfo
FIBER_TEST(GetaddrinfoTest, FailureNamesTheHost) {
  WEFT_NOT_FAULT_SWEPT("it has no thread to ask again in");
  const NoThreads none;
  try {
    socket::getaddrinfo("::1", "12345", {.family = AF_INET, .type = -1});
    FAIL() << "resolved";
  } catch (const std::system_error& error) {
    EXPECT_EQ(&error.code().category(), &socket::resolver_category());
    EXPECT_NE(std::string(error.what()).find("'::1'"), std::string::npos);
  }
  try {
    socket::getaddrinfo("no.number", "1", {.flags = AI_NUMERICHOST});
    FAIL() << "resolved";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), EAI_NONAME);
  }
}

TEST(GetaddrinfoNowaitTest, ConvertsWhatIsNumeric) {
  const auto found = socket::getaddrinfo_nowait("127.0.0.1", "80", {.type = SOCK_STREAM});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->at(0).address.to_string(), "127.0.0.1:80");
  EXPECT_FALSE(socket::getaddrinfo_nowait("localhost", "80").has_value());
  EXPECT_FALSE(socket::getaddrinfo_nowait("127.0.0.1", "http").has_value());
  EXPECT_THROW(socket::getaddrinfo_nowait("name", "80", {.flags = AI_NUMERICHOST}),
               std::system_error);
}

FIBER_TEST(GetaddrinfoTest, ServiceMayBeANameWhereTheHostMustBeNumeric) {
  const auto found =
      socket::getaddrinfo("127.0.0.1", "http", {.type = SOCK_STREAM, .flags = AI_NUMERICHOST});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].address.port(), 80);
}

// trio: test_socket.py::test_getnameinfo
FIBER_TEST(GetnameinfoTest, TurnsAddressesIntoNames) {
  const SocketAddress address = socket::getaddrinfo("127.0.0.1", "80")[0].address;
  {
    const NoThreads none;
    assert_checkpoints([&] {
      EXPECT_EQ(socket::getnameinfo(address, NI_NUMERICHOST | NI_NUMERICSERV),
                std::pair(std::string("127.0.0.1"), std::string("80")));
    });
  }
  EXPECT_EQ(socket::getnameinfo(address, NI_NUMERICHOST).second, "http");
  EXPECT_THROW(socket::getnameinfo(SocketAddress()), std::system_error);
}

// trio: test_socket.py::test_getprotobyname
FIBER_TEST(GetprotobynameTest, KnowsTheProtocols) {
  assert_checkpoints([] { EXPECT_EQ(socket::getprotobyname("tcp"), IPPROTO_TCP); });
  EXPECT_EQ(socket::getprotobyname("udp"), IPPROTO_UDP);
  EXPECT_THROW(socket::getprotobyname("no such protocol"), std::system_error);
}

class FixedResolver final : public socket::HostnameResolver {
 public:
  std::vector<socket::AddressInfo> getaddrinfo(const std::string& host, const std::string& service,
                                               const socket::AddressHints& hints) override {
    asked.push_back(host + ":" + service);
    last_hints = hints;
    return socket::getaddrinfo("127.0.0.7", service, hints);
  }
  std::pair<std::string, std::string> getnameinfo(const SocketAddress& address,
                                                  int flags) override {
    return {"name of " + address.host(), std::to_string(flags)};
  }
  std::vector<std::string> asked;
  socket::AddressHints last_hints;
};

// trio: test_socket.py::test_custom_hostname_resolver
FIBER_TEST(HostnameResolverTest, IsAskedForNamesAlone) {
  FixedResolver resolver;
  EXPECT_EQ(socket::set_custom_hostname_resolver(&resolver), nullptr);
  const NoThreads none;
  const auto found = socket::getaddrinfo("host.example", "80",
                                         {.family = AF_INET, .type = SOCK_STREAM, .proto = 6});
  EXPECT_EQ(found.at(0).address.to_string(), "127.0.0.7:80");
  EXPECT_EQ(resolver.asked, (std::vector<std::string>{"host.example:80"}));
  EXPECT_EQ(resolver.last_hints.family, AF_INET);
  EXPECT_EQ(resolver.last_hints.type, SOCK_STREAM);
  EXPECT_EQ(resolver.last_hints.proto, 6);
  // Numbers are no names.
  socket::getaddrinfo("127.0.0.1", "80");
  socket::getaddrinfo("", "80");
  EXPECT_EQ(resolver.asked.size(), 1U);
  EXPECT_EQ(socket::getnameinfo(found[0].address, 3),
            std::pair(std::string("name of 127.0.0.7"), std::string("3")));
  // Everything that resolves goes there.
  EXPECT_EQ(resolve("other.example", 81).at(0).to_string(), "127.0.0.7:81");
  socket::SocketType udp = socket::socket(AF_INET, SOCK_DGRAM);
  udp.connect("third.example", 82);
  EXPECT_EQ(udp.getpeername().to_string(), "127.0.0.7:82");
  EXPECT_EQ(resolver.asked.size(), 3U);
  EXPECT_EQ(socket::set_custom_hostname_resolver(nullptr), &resolver);
}

// The resolver gets the name as it was written; the system's own turns it into ASCII.
//
// trio: test_socket.py::test_idna
FIBER_TEST(HostnameResolverTest, GetsNamesOfOtherAlphabets) {
  FixedResolver resolver;
  socket::set_custom_hostname_resolver(&resolver);
  socket::getaddrinfo("fa\u00df.de", "80");
  EXPECT_EQ(resolver.asked.at(0), "fa\u00df.de:80");
}

// Wide digits are digits by these rules: an address that only they can find, and without a network.
FIBER_TEST(GetaddrinfoTest, NamesOfOtherAlphabetsAreUtf8InAnyLocale) {
  EXPECT_EQ(resolve("\uff11\uff12\uff17.0.0.9", 80).at(0).to_string(), "127.0.0.9:80");
}

// The system would look up what is before it.
//
// trio: test_socket.py::test_getaddrinfo
FIBER_TEST(GetaddrinfoTest, ZeroByteIsNoPartOfAName) {
  const std::string host("127.0.0.1\0.example", 18);
  EXPECT_THROW(socket::getaddrinfo(host, "80"), UsageError);
  EXPECT_THROW(socket::getaddrinfo("127.0.0.1", std::string("80\0", 3)), UsageError);
  EXPECT_THROW(resolve(host, 80), UsageError);
  EXPECT_THROW(socket::getprotobyname(std::string("tcp\0x", 5)), UsageError);
}

// A factory that counts, and refuses what it is told to.
class CountingFactory final : public socket::SocketFactory {
 public:
  socket::SocketType socket(int family, int type, int proto) override {
    ++made;
    if (family == refused) throw std::system_error(EAFNOSUPPORT, std::generic_category(), "test");
    const int fd = ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto);
    return socket::SocketType(OwnedFd(fd));
  }
  int made = 0;
  int refused = -1;
};

// trio: test_socket.py::test_custom_socket_factory
FIBER_TEST(SocketFactoryTest, MakesTheSocketsOfTheRun) {
  CountingFactory factory;
  EXPECT_EQ(socket::set_custom_socket_factory(&factory), nullptr);
  EXPECT_EQ(socket::socket(AF_INET, SOCK_DGRAM).type(), SOCK_DGRAM);
  EXPECT_EQ(factory.made, 1);
  // A pair is not its business.
  EXPECT_EQ(socket::socketpair().first.family(), AF_UNIX);
  EXPECT_EQ(factory.made, 1);
  EXPECT_EQ(socket::set_custom_socket_factory(nullptr), &factory);
  static_cast<void>(socket::socket(AF_INET, SOCK_DGRAM));
  EXPECT_EQ(factory.made, 1);
}

TEST(SocketFactoryRunTest, BelongsToItsRun) {
  CountingFactory factory;
  run([&] { socket::set_custom_socket_factory(&factory); });
  run([] { EXPECT_EQ(socket::set_custom_socket_factory(nullptr), nullptr); });
  EXPECT_THROW(socket::set_custom_socket_factory(&factory), UsageError);
}

}  // namespace
}  // namespace weft::fibers
