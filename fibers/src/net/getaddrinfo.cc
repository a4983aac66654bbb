// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/socket/getaddrinfo.h"

#include <netdb.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "fibers/src/net/hooks.h"
#include "fibers/sys/lasting.h"
#include "fibers/sys/sys.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers::socket {

namespace {

class ResolverCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "getaddrinfo"; }
  std::string message(int code) const override { return ::gai_strerror(code); }
};

[[noreturn]] void throw_resolver_error(int code, int system_error, const std::string& what) {
  if (code == EAI_SYSTEM) {
    throw std::system_error(system_error, std::generic_category(), "cannot resolve " + what);
  }
  throw std::system_error(code, resolver_category(), "cannot resolve " + what);
}

std::string describe(const std::string& host, const std::string& service) {
  return host.empty() ? "port '" + service + "'" : "'" + host + "'";
}

bool is_number(const std::string& service) {
  return std::all_of(service.begin(), service.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_ascii(const std::string& host) {
  return std::all_of(host.begin(), host.end(), [](char c) { return c > 0; });
}

// The system takes the bytes of a name for what the thread's locale says, "C" in most programs.
// Here they are UTF-8.
class Utf8Thread {
 public:
  Utf8Thread() : utf8_(sys::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (utf8_ != nullptr) before_ = ::uselocale(utf8_);
  }
  Utf8Thread(const Utf8Thread&) = delete;
  Utf8Thread& operator=(const Utf8Thread&) = delete;
  ~Utf8Thread() {
    if (utf8_ == nullptr) return;
    ::uselocale(before_);
    ::freelocale(utf8_);
  }

 private:
  locale_t utf8_;
  locale_t before_ = nullptr;
};

// A zero byte would end the text for the system, and it would look up something else.
void need_text(const std::string& text, const char* what) {
  if (text.find('\0') == std::string::npos) return;
  throw UsageError(std::string(what) + " must not contain a zero byte");
}

// What the system said, carried from one thread to another.
struct Answer {
  int code = 0;
  int system_error = 0;
  std::vector<AddressInfo> addresses = {};
};

Answer look_up(const std::string& host, const std::string& service, const AddressHints& hints) {
  addrinfo wanted{};
  wanted.ai_family = hints.family;
  wanted.ai_socktype = hints.type;
  wanted.ai_protocol = hints.proto;
  wanted.ai_flags = hints.flags;
  addrinfo* list = nullptr;
  Answer answer;
  answer.code = sys::getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                 service.empty() ? nullptr : service.c_str(), &wanted, &list);
  answer.system_error = errno;
  if (answer.code != 0) return answer;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(list, &::freeaddrinfo);
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    answer.addresses.push_back({.family = at->ai_family,
                                .type = at->ai_socktype,
                                .proto = at->ai_protocol,
                                .canonname = at->ai_canonname != nullptr ? at->ai_canonname : "",
                                .address = SocketAddress(at->ai_addr, at->ai_addrlen)});
  }
  return answer;
}

Answer look_up_host(const std::string& host, const std::string& service,
                    const AddressHints& hints) {
  if (is_ascii(host)) return look_up(host, service, hints);
  AddressHints international = hints;
  international.flags |= AI_IDN;
  const Utf8Thread utf8;
  return look_up(host, service, international);
}

std::vector<AddressInfo> addresses_of(Answer answer, const std::string& host,
                                      const std::string& service) {
  if (answer.code != 0) {
    throw_resolver_error(answer.code, answer.system_error, describe(host, service));
  }
  return std::move(answer.addresses);
}

struct Names {
  int code = 0;
  int system_error = 0;
  std::pair<std::string, std::string> names = {};
};

Names look_up_name(const SocketAddress& address, int flags) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> service{};
  Names result;
  result.code = sys::getnameinfo(address.data(), static_cast<socklen_t>(address.size()),
                                 host.data(), host.size(), service.data(), service.size(), flags);
  result.system_error = errno;
  if (result.code == 0) result.names = {host.data(), service.data()};
  return result;
}

// The thread may go on when nobody waits for it any more: `fn` owns what it uses.
template <class F>
auto in_thread(F&& fn) {
  return to_thread::run_sync(std::forward<F>(fn),
                             {.thread_name = "resolver", .abandon_on_cancel = true});
}

}  // namespace

const std::error_category& resolver_category() {
  // Never destroyed: errors may outlive everything static.
  static const sys::NeverDestroyed<ResolverCategory> category;
  return *category;
}

std::optional<std::vector<AddressInfo>> getaddrinfo_nowait(const std::string& host,
                                                           const std::string& service,
                                                           const AddressHints& hints) {
  need_text(host, "a host's name");
  need_text(service, "a service's name");
  if (!is_number(service)) return std::nullopt;
  AddressHints numeric = hints;
  numeric.flags |= AI_NUMERICHOST | AI_NUMERICSERV;
  Answer answer = look_up(host, service, numeric);
  const bool may_be_name = (hints.flags & AI_NUMERICHOST) == 0 && !host.empty();
  if (answer.code == EAI_NONAME && may_be_name) return std::nullopt;
  return addresses_of(std::move(answer), host, service);
}

std::vector<AddressInfo> getaddrinfo(const std::string& host, const std::string& service,
                                     const AddressHints& hints) {
  checkpoint();
  if (auto found = getaddrinfo_nowait(host, service, hints)) return std::move(*found);
  const bool is_name = !host.empty() && (hints.flags & AI_NUMERICHOST) == 0;
  if (HostnameResolver* custom = custom_hostname_resolver(); custom != nullptr && is_name) {
    return custom->getaddrinfo(host, service, hints);
  }
  return addresses_of(
      in_thread([host, service, hints] { return look_up_host(host, service, hints); }), host,
      service);
}

std::pair<std::string, std::string> getnameinfo(const SocketAddress& address, int flags) {
  checkpoint();
  if (HostnameResolver* custom = custom_hostname_resolver()) {
    return custom->getnameinfo(address, flags);
  }
  constexpr int kNumeric = NI_NUMERICHOST | NI_NUMERICSERV;
  Names result = (flags & kNumeric) == kNumeric
                     ? look_up_name(address, flags)
                     : in_thread([address, flags] { return look_up_name(address, flags); });
  if (result.code != 0) {
    throw_resolver_error(result.code, result.system_error, "the name of " + address.to_string());
  }
  return std::move(result.names);
}

int getprotobyname(const std::string& name) {
  checkpoint_if_cancelled();
  need_text(name, "a protocol's name");
  const int number = in_thread([name] {
    protoent found{};
    protoent* result = nullptr;
    std::array<char, 4096> buffer{};
    const int error =
        sys::getprotobyname_r(name.c_str(), &found, buffer.data(), buffer.size(), &result);
    return error == 0 && result != nullptr ? found.p_proto : -1;
  });
  if (number < 0) {
    throw std::system_error(ENOENT, std::generic_category(), "there is no protocol '" + name + "'");
  }
  return number;
}

}  // namespace weft::fibers::socket
