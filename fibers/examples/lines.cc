// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A server that talks by lines, and a client that misuses it: a store of texts, each sent as its
// length and then its bytes. The client's stream has no network in it.
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

#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <utility>

#include "weft/fibers/buffered_receive_stream.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/memory_stream.h"

namespace trio = weft::fibers;

using Store = std::map<std::string, std::string>;

std::string answer(const std::string& request, Store& store, trio::BufferedReceiveStream& in) {
  std::istringstream words(request);
  std::string verb;
  std::string name;
  std::size_t size = 0;
  words >> verb >> name;
  if (verb == "put" && words >> size) {
    store[name] = in.receive_exactly(size);  // Line ends have no meaning in there.
    return "ok";
  }
  const auto found = store.find(name);
  if (found == store.end()) return "error: there is no '" + name + '\'';
  return std::to_string(found->second.size()) + ' ' + found->second;
}

void serve(trio::Stream& stream) {
  Store store;
  trio::BufferedReceiveStream in(stream);
  try {
    while (const auto line = in.receive_line(80)) {
      stream.send_all(answer(*line, store, in) + '\n');
    }
  } catch (const trio::DelimiterNotFound& error) {
    stream.send_all(std::string("error: ") + error.what() + '\n');
  }
  stream.aclose();
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

int main() {
  trio::run([] {
    auto [client, server] = trio::testing::memory_stream_pair();
    trio::open_nursery([&, &client = client, &server = server](trio::Nursery& nursery) {
      nursery.start_soon([&] { serve(server); });
      talk(client);
    });
  });
}
