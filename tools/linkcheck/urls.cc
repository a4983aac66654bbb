// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/urls.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <optional>

#include "tools/linkcheck/text.h"

namespace linkcheck {
namespace {

constexpr std::size_t kLongestUrl =
    8000;  // what servers commonly take; also keeps a data: flood out of the report

struct UrlFree {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UrlHandle = std::unique_ptr<CURLU, UrlFree>;

// A lack of memory says nothing about a URL.
CURLUcode require_memory(CURLUcode code) {
  if (code == CURLUE_OUT_OF_MEMORY) throw std::bad_alloc();
  return code;
}

UrlHandle new_url(CURLU* made) {
  if (made == nullptr) throw std::bad_alloc();
  return UrlHandle(made);
}

CURLUcode parse_into(const UrlHandle& url, const std::string& text) {
  return require_memory(curl_url_set(url.get(), CURLUPART_URL, text.c_str(), CURLU_URLENCODE));
}

std::string part_of(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (require_memory(curl_url_get(url, part, &text, flags)) != CURLUE_OK) return "";
  const std::unique_ptr<char, decltype(&curl_free)> owned(text, &curl_free);
  return text;
}

// Without the white space around it, and without the line breaks and tabs that browsers drop from
// the middle.
std::string cleaned(std::string_view reference) {
  std::string result(trimmed(reference));
  std::erase_if(result, [](char c) { return c == '\n' || c == '\r' || c == '\t'; });
  return result;
}

// The scheme in front of an absolute reference, lowered; empty for a relative one.
std::string scheme_of(std::string_view reference) {
  const std::size_t colon = reference.find(':');
  if (colon == std::string_view::npos || colon == 0) return "";
  const std::string scheme = lowered(reference.substr(0, colon));
  const bool valid =
      scheme.front() >= 'a' && scheme.front() <= 'z' &&
      std::all_of(scheme.begin(), scheme.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
      });
  return valid ? scheme : "";
}

bool stays_unescaped(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

// One spelling for escapes: needless ones decoded, the others in upper case. Bytes that must not
// stand bare in a request line are escaped, a lone '%' too.
std::string with_normal_escapes(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (text[at] == '%') {
      const std::string decoded = percent_decoded(text.substr(at, 3));
      if (decoded.size() == 1 && at + 2 < text.size()) {
        if (stays_unescaped(decoded[0])) {
          result += decoded[0];
        } else {
          append_percent(result, decoded[0]);
        }
        at += 2;
        continue;
      }
      append_percent(result, '%');
    } else if (byte <= 0x20 || byte >= 0x7F ||
               std::string_view("\"<>\\^`{|}").find(text[at]) != std::string_view::npos) {
      append_percent(result, text[at]);
    } else {
      result += text[at];
    }
  }
  return result;
}

Resolved malformed(std::string_view reference, std::string problem) {
  Resolved result;
  result.url = std::string(reference.substr(0, 300));
  result.problem = std::move(problem);
  return result;
}

Resolved other_scheme(std::string_view reference, std::string scheme) {
  Resolved result;
  result.kind = UrlKind::kOtherScheme;
  result.url = std::string(reference.substr(0, 300));
  result.problem = std::move(scheme);
  return result;
}

std::string problem_text(CURLUcode code) {
  switch (code) {
    case CURLUE_BAD_PORT_NUMBER:
      return "port number is not one";
    case CURLUE_NO_HOST:
      return "host name is missing";
    case CURLUE_BAD_HOSTNAME:
      return "host name has characters it may not have";
    case CURLUE_BAD_IPV6:
      return "IPv6 address is malformed";
    default:
      return curl_url_strerror(code);
  }
}

bool is_bad_host_byte(char c) {
  return static_cast<unsigned char>(c) <= 0x20 || c == 0x7F ||
         std::string_view("\"#%/<>?@\\^`{|}*&$!'()+,;=").find(c) != std::string_view::npos;
}

// The normalised URL of a parsed one; fills `problem` instead when there is something a request
// could not carry.
std::string normalised(CURLU* url, std::string& problem) {
  const std::string scheme = lowered(part_of(url, CURLUPART_SCHEME));
  const std::string host = lowered(part_of(url, CURLUPART_HOST));
  if (host.empty()) problem = "host name is missing";
  if (std::any_of(host.begin(), host.end(), is_bad_host_byte)) {
    problem = "host name has characters it may not have";
  }
  std::string result = scheme + "://";
  const std::string user = part_of(url, CURLUPART_USER);
  const std::string password = part_of(url, CURLUPART_PASSWORD);
  if (!user.empty()) result += user + (password.empty() ? "" : ":" + password) + "@";
  result += host;
  const std::string port = part_of(url, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT);
  if (!port.empty()) result += ":" + port;
  const std::string path = with_normal_escapes(part_of(url, CURLUPART_PATH));
  result += path.empty() ? "/" : path;
  const std::string query = part_of(url, CURLUPART_QUERY);
  if (!query.empty()) result += "?" + with_normal_escapes(query);
  return result;
}

// Position of host and port in a normalised URL.
std::string_view authority_of(std::string_view url) {
  const std::size_t start = url.find("://");
  if (start == std::string_view::npos) return {};
  std::string_view authority = url.substr(start + 3);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  const std::size_t at = authority.rfind('@');
  return at == std::string_view::npos ? authority : authority.substr(at + 1);
}

}  // namespace

struct UrlResolver::State {
  UrlHandle base;
  std::string text;
};

UrlResolver::UrlResolver(const std::string& base) : state_(std::make_unique<State>()) {
  state_->base = new_url(curl_url());
  state_->text = base;
  if (parse_into(state_->base, base) != CURLUE_OK) {
    state_->base.reset();
    return;
  }
  curl_url_set(state_->base.get(), CURLUPART_FRAGMENT, nullptr, 0);
}

UrlResolver::~UrlResolver() = default;
UrlResolver::UrlResolver(UrlResolver&&) noexcept = default;
UrlResolver& UrlResolver::operator=(UrlResolver&&) noexcept = default;

Resolved UrlResolver::resolve(std::string_view reference) const {
  const std::string whole = cleaned(reference);
  std::string_view rest = whole;
  const std::string target(take_until(rest, '#'));
  if (whole.size() > kLongestUrl && scheme_of(target).substr(0, 4) != "data") {
    return malformed(whole, "longer than " + std::to_string(kLongestUrl) + " bytes");
  }
  const std::string scheme = scheme_of(target);
  if (!scheme.empty() && scheme != "http" && scheme != "https") return other_scheme(whole, scheme);
  if (!scheme.empty() && target.substr(scheme.size(), 3) != "://") {
    return malformed(whole, "no // after " + scheme + ":");
  }
  if (scheme.empty() && !state_->base) return malformed(whole, "not an absolute URL");
  const UrlHandle url = new_url(state_->base ? curl_url_dup(state_->base.get()) : curl_url());
  if (!target.empty()) {
    CURLUcode code = parse_into(url, target);
    if (code != CURLUE_OK && state_->base) {
      // libcurl reads the base in here, and takes a lack of memory for that for a missing base:
      // "Bad scheme". So the base is read where the lack is seen, then the URL is looked at again.
      part_of(url.get(), CURLUPART_URL);
      code = parse_into(url, target);
    }
    if (code != CURLUE_OK) return malformed(whole, problem_text(code));
  }
  Resolved result;
  result.url = normalised(url.get(), result.problem);
  if (!result.problem.empty()) return malformed(whole, std::move(result.problem));
  result.kind = UrlKind::kHttp;
  result.fragment = percent_decoded(rest);
  return result;
}

Resolved parse_url(std::string_view text) {
  return UrlResolver("").resolve(text);
}

std::string origin_of(const std::string& url) {
  return url.substr(0, url.find("://")) + "://" + std::string(authority_of(url));
}

std::string host_of(const std::string& url) {
  return std::string(authority_of(url));
}

std::string_view path_and_query_of(std::string_view url) {
  const std::size_t start = url.find("://");
  if (start == std::string_view::npos) return "/";
  const std::size_t path = url.find('/', start + 3);
  return path == std::string_view::npos ? "/" : url.substr(path);
}

std::string_view path_of(std::string_view url) {
  const std::string_view path = path_and_query_of(url);
  return path.substr(0, path.find('?'));
}

}  // namespace linkcheck
