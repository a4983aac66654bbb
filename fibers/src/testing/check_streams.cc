// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/check_streams.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "fibers/src/testing/stream_rules.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::fibers::testing::detail {

namespace {

constexpr std::size_t kDuplexSize = std::size_t{1} << 20U;
constexpr std::size_t kLongestPiece = std::size_t{1} << 14U;

void check_all(std::span<const Rule> rules, const OneWayMaker& maker, const std::string& kit) {
  if (!maker) return;
  for (const Rule& rule : rules) {
    run_rule_on(maker, kit, rule.name, [&](SendStream& s, ReceiveStream& r) {
      rule.check({s, r});
    });
  }
}

void check_direction(const OneWayMaker& maker, const OneWayMaker& clogged_maker,
                     const std::string& kit) {
  check_all(one_way_rules(), maker, kit);
  check_all(clogged_rules(), clogged_maker, kit);
}

template <class Maker>
OneWayMaker forwards(const Maker& maker) {
  if (!maker) return nullptr;
  return [&maker] {
    auto made = maker();
    return std::pair<std::unique_ptr<SendStream>, std::unique_ptr<ReceiveStream>>(
        std::move(made.first), std::move(made.second));
  };
}

template <class Maker>
OneWayMaker backwards(const Maker& maker) {
  if (!maker) return nullptr;
  return [&maker] {
    auto made = maker();
    return std::pair<std::unique_ptr<SendStream>, std::unique_ptr<ReceiveStream>>(
        std::move(made.second), std::move(made.first));
  };
}

// --- Both directions. ---

using Random = std::minstd_rand;

std::string random_data(unsigned seed) {
  Random random(seed);
  std::string data(kDuplexSize, '\0');
  for (char& c : data) c = static_cast<char>(random() >> 8U);
  return data;
}

std::size_t random_size(Random& random) {
  return std::uniform_int_distribution<std::size_t>(1, kLongestPiece)(random);
}

void send_in_pieces(SendStream& s, std::string_view data, unsigned seed) {
  Random random(seed);
  while (!data.empty()) {
    const std::string_view piece = data.substr(0, random_size(random));
    s.send_all(piece);
    data.remove_prefix(piece.size());
  }
}

void receive_in_pieces(ReceiveStream& r, std::string_view expected, unsigned seed) {
  Random random(seed);
  std::string got;
  while (got.size() < expected.size()) {
    const std::string piece = r.receive_some(random_size(random));
    if (piece.empty()) broken("received the end of the stream in the middle of it");
    got += piece;
  }
  if (got != expected) broken("what was received is not what was sent");
}

void carries_much_both_ways(Stream& a, Stream& b) {
  const std::string from_a = random_data(1);
  const std::string from_b = random_data(2);
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] { send_in_pieces(a, from_a, 3); });
    nursery.start_soon([&] { send_in_pieces(b, from_b, 4); });
    nursery.start_soon([&] { receive_in_pieces(a, from_b, 5); });
    nursery.start_soon([&] { receive_in_pieces(b, from_a, 6); });
  });
}

void closing_is_the_end_for_the_other(Stream& a, Stream& b) {
  together([&] { close(a); },
           [&] {
             receive_end(b);
             close(b);
           });
}

void check_duplex(const TwoWayMaker& maker, const std::string& kit) {
  run_rule_on(maker, kit, "a mebibyte goes each way at once, in pieces of any size",
              carries_much_both_ways);
  run_rule_on(maker, kit, "closing one end is the end for the other",
              closing_is_the_end_for_the_other);
}

// --- One half alone. ---

void send_x_then_eof(HalfCloseableStream& s) {
  s.send_all("x");
  send_eof(s);
}

void receive_x_then_end(Stream& r) {
  wait_all_tasks_blocked();
  receive(r, 10, "x");
  receive(r, 10, "");
}

void eof_ends_one_direction(HalfCloseableStream& a, HalfCloseableStream& b) {
  together([&] { send_x_then_eof(a); }, [&] { receive_x_then_end(b); });
  expect_closed("send_all() after send_eof()", [&] { a.send_all("y"); });
  send_eof(a);
  together([&] { send_x_then_eof(b); }, [&] { receive_x_then_end(a); });
}

void eof_while_sending(HalfCloseableStream& a, HalfCloseableStream& /*b*/) {
  expect_busy(
      "one task in send_all() and one in send_eof()", [&] { a.send_all("x"); },
      [&] { a.send_eof(); });
}

void eof_while_waiting(HalfCloseableStream& a, HalfCloseableStream& /*b*/) {
  expect_busy(
      "one task in wait_send_all_might_not_block() and one in send_eof()",
      [&] { a.wait_send_all_might_not_block(); }, [&] { a.send_eof(); });
}

void check_two_way_as(const std::string& kit, const TwoWayMaker& maker,
                      const TwoWayMaker& clogged_maker) {
  check_direction(forwards(maker), forwards(clogged_maker), kit);
  check_direction(backwards(maker), backwards(clogged_maker), kit + " (second to first)");
  check_duplex(maker, kit);
}

TwoWayMaker as_two_way(const HalfCloseableMaker& maker) {
  if (!maker) return nullptr;
  return [&maker] {
    auto made = maker();
    return std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>>(std::move(made.first),
                                                                       std::move(made.second));
  };
}

}  // namespace

void check_one_way(const OneWayMaker& maker, const OneWayMaker& clogged_maker) {
  check_direction(maker, clogged_maker, "check_one_way_stream");
}

void check_two_way(const TwoWayMaker& maker, const TwoWayMaker& clogged_maker) {
  check_two_way_as("check_two_way_stream", maker, clogged_maker);
}

void check_half_closeable(const HalfCloseableMaker& maker,
                          const HalfCloseableMaker& clogged_maker) {
  const std::string kit = "check_half_closeable_stream";
  check_two_way_as(kit, as_two_way(maker), as_two_way(clogged_maker));
  run_rule_on(maker, kit, "send_eof() ends one direction and leaves the other",
              eof_ends_one_direction);
  if (!clogged_maker) return;
  run_rule_on(clogged_maker, kit, "two tasks cannot send and send_eof() at once",
              eof_while_sending);
  run_rule_on(clogged_maker, kit, "two tasks cannot wait for room and send_eof() at once",
              eof_while_waiting);
}

}  // namespace weft::fibers::testing::detail
