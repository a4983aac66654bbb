// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A server that talks by lines, and a client that misuses it: a store of texts, each sent as its
// length and then its bytes. The client's stream has no network in it. With a port (0: any) it
// serves there over TCP until Ctrl-C, without that client.
//
// Prints:
//   > put greeting 13
//   < ok
//   > get greeting
//   < 13 hello, world!
//   > get nothing
//   < error: there is no 'nothing'
//   > a line that is too long by far, to see what becomes of those who have no manners at all
//   < error: no end of the line within 80 bytes

#include <cstdint>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "weft/fibers/buffered_receive_stream.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/main.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/testing/memory_stream.h"

namespace trio = weft::fibers;

using Store = std::map<std::string, std::string>;
constexpr std::size_t kLargest = 1 << 20;

std::string answer(const std::string& request, Store& store, trio::BufferedReceiveStream& in) {
  std::istringstream words(request);
  std::string verb;
  std::string name;
  std::size_t size = 0;
  words >> verb >> name;
  if (verb == "put" && words >> size) {
    if (size > kLargest) throw std::length_error("a text has 1 MiB at most");
    store[name] = in.receive_exactly(size);  // Line ends have no meaning in there.
    return "ok";
  }
  const auto found = store.find(name);
  if (found == store.end()) return "error: there is no '" + name + '\'';
  return std::to_string(found->second.size()) + ' ' + found->second;
}

void converse(trio::Stream& stream) {
  Store store;
  trio::BufferedReceiveStream in(stream);
  std::string complaint;
  try {
    while (const auto line = in.receive_line(80)) {
      stream.send_all(answer(*line, store, in) + '\n');
    }
  } catch (const trio::DelimiterNotFound& error) {
    complaint = error.what();
  } catch (const std::length_error& error) {
    complaint = error.what();
  }
  if (!complaint.empty()) stream.send_all("error: " + complaint + '\n');
  stream.aclose();
}

// Whatever a client does ends its own connection, and nobody else's.
void serve(trio::Stream& stream) {
  try {
    converse(stream);
  } catch (const trio::BrokenResourceError&) {  // It has reset the connection.
  } catch (const trio::IncompleteRead&) {       // It has gone in the middle of a text or a line.
  }
}

void talk(trio::Stream& stream) {
  const std::pair<std::string, std::string> requests[] = {
      {"put greeting 13", "hello, world!"},
      {"get greeting", ""},
      {"get nothing", ""},
      {"a line that is too long by far, to see what becomes of those who have no manners at all",
       ""}};
  trio::BufferedReceiveStream in(stream);
  for (const auto& [line, data] : requests) {
    std::cout << "> " << line << '\n';
    stream.send_all(line);
    stream.send_all("\n");
    stream.send_all(data);
    std::cout << "< " << in.receive_line().value_or("nothing more") << '\n';
  }
}

void serve_on(std::uint16_t port) {
  trio::open_nursery([port](trio::Nursery& nursery) {
    const auto bound = nursery.start<std::uint16_t>(
        [port](auto& status) { trio::serve_tcp(serve, port, {.host = "127.0.0.1"}, status); });
    std::cout << "serving on port " << bound << std::endl;
  });
}

int main(int argc, char** argv) {
  return trio::main([&] {
    if (argc > 1) return serve_on(static_cast<std::uint16_t>(std::stoi(argv[1])));
    auto [client, server] = trio::testing::memory_stream_pair();
    trio::open_nursery([&, &client = client, &server = server](trio::Nursery& nursery) {
      nursery.start_soon([&] { serve(server); });
      talk(client);
    });
  });
}
