// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Every rule of the kits has a stream here that breaks it, and nothing that is checked before it.

#include "fibers/src/testing/stream_rules.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/check_streams.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/lockstep_stream.h"
#include "weft/fibers/testing/memory_stream.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers::testing {
namespace {

using Data = std::span<const std::byte>;
using Room = std::span<std::byte>;

// A stream that does what its inner one does, except where it was told otherwise.
class Faulty final : public HalfCloseableStream {
 public:
  explicit Faulty(std::unique_ptr<HalfCloseableStream> stream) : inner(std::move(stream)) {}

  void send_all(Data data) override { on_send_all ? on_send_all(data) : inner->send_all(data); }
  void wait_send_all_might_not_block() override {
    on_wait ? on_wait() : inner->wait_send_all_might_not_block();
  }
  void send_eof() override { on_send_eof ? on_send_eof() : inner->send_eof(); }
  std::size_t receive_some(Room room) override {
    return on_receive ? on_receive(room) : inner->receive_some(room);
  }
  void aclose() override { on_aclose ? on_aclose() : inner->aclose(); }

  std::unique_ptr<HalfCloseableStream> inner;
  std::function<void(Data)> on_send_all;
  std::function<void()> on_wait, on_send_eof, on_aclose;
  std::function<std::size_t(Room)> on_receive;
  // For faults to remember things in.
  bool closed = false, flag = false, receiving = false, sending = false, waiting = false;
  std::size_t count = 0;
};

struct Fault {
  const char* rule;
  // `s` is where the kit sends, `r` where it receives.
  std::function<void(Faulty& s, Faulty& r)> plant;
};
using Faults = std::vector<Fault>;

template <class Pair>
auto faulty_maker(Pair (*make)(), const Fault& fault) {
  return [make, &fault] {
    auto [a, b] = make();
    using Inner = typename Pair::first_type;
    auto s = std::make_unique<Faulty>(std::make_unique<Inner>(std::move(a)));
    auto r = std::make_unique<Faulty>(std::make_unique<Inner>(std::move(b)));
    fault.plant(*s, *r);
    return std::pair(std::move(s), std::move(r));
  };
}

bool cancelled() {
  return current_effective_deadline() == kLongAgo;
}

// Sets a flag for as long as a call lasts.
struct During {
  explicit During(bool& to) : flag(to) { flag = true; }
  During(const During&) = delete;
  During& operator=(const During&) = delete;
  ~During() { flag = false; }
  bool& flag;
};

std::string message_of(const std::function<void()>& check) {
  try {
    check();
  } catch (const AssertionError& error) {
    return error.what();
  }
  return "no rule is broken";
}

void expect_found(const Fault& fault, const std::function<void()>& check) {
  const std::string message = message_of(check);
  EXPECT_NE(message.find('"' + std::string(fault.rule) + '"'), std::string::npos)
      << "a stream that breaks the rule\n  " << fault.rule << "\nwas answered with\n  " << message;
}

void expect_covers(const Faults& faults, std::span<const detail::Rule> rules) {
  std::set<std::string> covered;
  for (const Fault& fault : faults) covered.insert(fault.rule);
  for (const detail::Rule& rule : rules) {
    EXPECT_TRUE(covered.contains(rule.name)) << "no stream breaks the rule " << rule.name;
  }
}

const Faults kDataFaults = {
    {"what is sent arrives",
     [](Faulty& s, Faulty&) {
       s.on_send_all = [&s](Data data) {
         s.inner->SendStream::send_all(std::string(data.size(), '?'));
       };
     }},
    {"what is sent arrives",
     [](Faulty& s, Faulty& r) {
       s.on_send_all = [&r](Data data) {
         r.flag = !data.empty();
         checkpoint();
       };
       r.on_receive = [&r](Room room) {
         while (!r.flag) cancel_shielded_checkpoint();
         room.front() = std::byte{'x'};
         return std::size_t{1};
       };
     }},
    {"what is sent arrives",
     [](Faulty& s, Faulty&) { s.on_send_all = [](Data) { checkpoint(); }; }},
    {"bytes arrive in the order in which they were sent",
     [](Faulty& s, Faulty&) {
       s.on_send_all = [&s](Data data) {
         s.inner->send_all(std::vector<std::byte>(data.rbegin(), data.rend()));
       };
     }},
    {"sending nothing is not the end of the stream",
     [](Faulty& s, Faulty&) {
       s.on_send_all = [&s](Data data) {
         data.empty() ? s.inner->send_eof() : s.inner->send_all(data);
       };
     }},
    {"receiving into no room is a UsageError",
     [](Faulty&, Faulty& r) {
       r.on_receive = [&r](Room room) { return room.empty() ? 0 : r.inner->receive_some(room); };
     }},
    {"two tasks cannot receive at once",
     [](Faulty&, Faulty& r) {
       r.on_receive = [&r](Room room) {
         if (r.receiving) sleep_forever();
         const During during(r.receiving);
         return r.inner->receive_some(room);
       };
     }},
    {"wait_send_all_might_not_block() returns while somebody receives",
     [](Faulty& s, Faulty&) { s.on_wait = [] { sleep_forever(); }; }},
    {"a cancelled receive_some() loses nothing",
     [](Faulty&, Faulty& r) {
       r.on_receive = [&r](Room room) {
         try {
           if (r.flag) r.inner->receive_some(room.first(1));
           return r.inner->receive_some(room);
         } catch (const Cancelled&) {
           r.flag = true;
           throw;
         }
       };
     }},
};

const Faults kClosingFaults = {
    {"sending to a closed receiver is BrokenResourceError, and stays so",
     [](Faulty& s, Faulty&) {
       s.on_send_all = [&s](Data data) {
         try {
           s.inner->send_all(data);
         } catch (const BrokenResourceError&) {
         }
       };
     }},
    {"sending to a closed receiver is BrokenResourceError, and stays so",
     [](Faulty& s, Faulty&) {
       s.on_send_all = [&s](Data data) {
         if (s.flag) return checkpoint();
         try {
           s.inner->send_all(data);
         } catch (const BrokenResourceError&) {
           s.flag = true;
           throw;
         }
       };
     }},
    {"receiving after closing is ClosedResourceError, and closing again is fine",
     [](Faulty&, Faulty& r) {
       r.on_receive = [&r](Room room) {
         try {
           return r.inner->receive_some(room);
         } catch (const ClosedResourceError&) {
           return std::size_t{0};
         }
       };
     }},
    {"receiving after closing is ClosedResourceError, and closing again is fine",
     [](Faulty&, Faulty& r) {
       r.on_aclose = [&r] {
         if (r.closed && !cancelled()) throw ClosedResourceError();
         r.closed = true;
         r.inner->aclose();
       };
     }},
    {"sending after closing is ClosedResourceError, and closing again is fine",
     [](Faulty& s, Faulty&) {
       s.on_send_all = [&s](Data data) { data.empty() ? checkpoint() : s.inner->send_all(data); };
     }},
    {"what was sent before closing arrives, and then the end, for good",
     [](Faulty&, Faulty& r) {
       r.on_receive = [&r](Room room) {
         const std::size_t n = r.inner->receive_some(room);
         if (n == 0 && r.count++ > 0) throw BrokenResourceError();
         return n;
       };
     }},
    {"a receiver that is closed forcefully is closed, and breaks the sender",
     [](Faulty&, Faulty& r) {
       r.on_aclose = [&r] {
         checkpoint();
         r.inner->aclose();
       };
     }},
    {"a sender that is closed forcefully is closed, and ends the receiver",
     [](Faulty& s, Faulty&) {
       s.on_aclose = [&s] {
         checkpoint();
         s.inner->aclose();
       };
     }},
    {"closing closes also when it is cancelled",
     [](Faulty& s, Faulty& r) {
       r.on_aclose = [&r] {
         r.closed = true;
         r.inner->aclose();
       };
       s.on_aclose = [&s, &r] {
         if (r.closed) checkpoint();
         s.inner->aclose();
       };
     }},
    {"cancelled calls can be followed by closing",
     [](Faulty& s, Faulty&) {
       s.on_send_all = [&s](Data data) {
         try {
           s.inner->send_all(data);
         } catch (const Cancelled&) {
           s.flag = true;
           throw;
         }
       };
       s.on_aclose = [&s] {
         s.inner->aclose();
         if (s.flag) throw BrokenResourceError();
       };
     }},
    {"cancelled calls can be followed by closing",
     [](Faulty& s, Faulty&) {
       s.on_send_all = [&s](Data data) {
         if (!cancelled()) s.inner->send_all(data);
       };
     }},
    {"closing the receiver wakes a task that receives",
     [](Faulty&, Faulty& r) {
       r.on_receive = [&r](Room room) {
         const During during(r.receiving);
         return r.inner->receive_some(room);
       };
       r.on_aclose = [&r] { r.receiving ? checkpoint() : r.inner->aclose(); };
     }},
};

Faults all(const Faults& first, const Faults& second) {
  Faults both = first;
  both.insert(both.end(), second.begin(), second.end());
  return both;
}

FIBER_TEST(CheckOneWayStreamTest, FindsEveryKindOfBrokenStream) {
  WEFT_NOT_FAULT_SWEPT("hundreds of runs of it take minutes");
  const Faults faults = all(kDataFaults, kClosingFaults);
  expect_covers(faults, detail::one_way_rules());
  for (const Fault& fault : faults) {
    expect_found(fault, [&] { check_one_way_stream(faulty_maker(memory_stream_pair, fault)); });
  }
}

void remember_closing(Faulty& stream) {
  stream.on_aclose = [&stream] {
    stream.closed = true;
    stream.inner->aclose();
  };
}

// What a sender has to do to be clumsy about a second task.
void note_calls(Faulty& s) {
  s.on_send_all = [&s](Data data) {
    const During during(s.sending);
    s.inner->send_all(data);
  };
  s.on_wait = [&s] {
    const During during(s.waiting);
    s.inner->wait_send_all_might_not_block();
  };
}

const Faults kCloggedFaults = {
    {"wait_send_all_might_not_block() waits until there is room",
     [](Faulty& s, Faulty&) { s.on_wait = [] { checkpoint(); }; }},
    {"two tasks cannot wait for room at once",
     [](Faulty& s, Faulty&) {
       s.on_wait = [&s] {
         if (s.waiting) sleep_forever();
         const During during(s.waiting);
         s.inner->wait_send_all_might_not_block();
       };
     }},
    {"two tasks cannot wait for room and send at once",
     [](Faulty& s, Faulty&) {
       note_calls(s);
       s.on_send_all = [&s](Data data) {
         if (s.waiting) sleep_forever();
         s.inner->send_all(data);
       };
     }},
    {"two tasks cannot send at once",
     [](Faulty& s, Faulty&) {
       s.on_send_all = [&s](Data data) {
         if (s.sending) sleep_forever();
         const During during(s.sending);
         s.inner->send_all(data);
       };
     }},
    {"closing the receiver ends waiting for room",
     [](Faulty& s, Faulty& r) {
       remember_closing(r);
       s.on_wait = [&s, &r] {
         const bool was_closed = r.closed;
         s.inner->wait_send_all_might_not_block();
         if (r.closed && !was_closed) sleep_forever();
       };
     }},
    {"nobody waits for room in a stream whose receiver is closed",
     [](Faulty& s, Faulty& r) {
       remember_closing(r);
       s.on_wait = [&s, &r] {
         if (r.closed) sleep_forever();
         s.inner->wait_send_all_might_not_block();
       };
     }},
    {"closing the sender wakes a task that sends",
     [](Faulty& s, Faulty&) {
       note_calls(s);
       s.on_aclose = [&s] { s.sending ? checkpoint() : s.inner->aclose(); };
     }},
    {"closing the sender wakes a task that waits for room",
     [](Faulty& s, Faulty&) {
       note_calls(s);
       s.on_aclose = [&s] { s.waiting ? checkpoint() : s.inner->aclose(); };
     }},
};

FIBER_TEST(CheckOneWayStreamTest, FindsEveryKindOfBrokenCloggedStream) {
  expect_covers(kCloggedFaults, detail::clogged_rules());
  for (const Fault& fault : kCloggedFaults) {
    expect_found(fault, [&] {
      check_one_way_stream(memory_stream_one_way_pair, faulty_maker(lockstep_stream_pair, fault));
    });
  }
}

const Faults kTwoWayFaults = {
    {"a mebibyte goes each way at once, in pieces of any size",
     [](Faulty& s, Faulty&) {
       s.on_send_all = [&s](Data data) {
         s.count += data.size();
         std::vector<std::byte> copy(data.begin(), data.end());
         if (s.count > 500'000 && !copy.empty()) copy.front() ^= std::byte{1};
         s.inner->send_all(copy);
       };
     }},
    {"closing one end is the end for the other",
     [](Faulty&, Faulty& r) {
       r.on_receive = [&r](Room room) {
         const std::size_t n = r.inner->receive_some(room);
         r.flag = n == 0 && r.count == 0;
         r.count += n;
         return n;
       };
       r.on_aclose = [&r] {
         r.inner->aclose();
         if (r.flag && !cancelled()) throw BrokenResourceError();
       };
     }},
};

FIBER_TEST(CheckTwoWayStreamTest, FindsEveryKindOfBrokenStream) {
  WEFT_NOT_FAULT_SWEPT("hundreds of runs of it take minutes");
  for (const Fault& fault : kTwoWayFaults) {
    expect_found(fault, [&] { check_two_way_stream(faulty_maker(memory_stream_pair, fault)); });
  }
}

FIBER_TEST(CheckTwoWayStreamTest, ChecksTheSecondDirectionToo) {
  const Fault& fault = kDataFaults.front();
  const std::string message = message_of([&] {
    check_two_way_stream([&] {
      auto [s, r] = faulty_maker(memory_stream_pair, fault)();
      return std::pair(std::move(r), std::move(s));
    });
  });
  EXPECT_EQ(message,
            "check_two_way_stream (second to first): the rule \"what is sent arrives\" is broken: "
            "received \"?\" in place of \"x\"");
}

const char* const kEofRule = "send_eof() ends one direction and leaves the other";

const Faults kHalfCloseableFaults = {
    {kEofRule, [](Faulty& s, Faulty&) { s.on_send_eof = [] { checkpoint(); }; }},
    {kEofRule, [](Faulty& s, Faulty&) { s.on_send_eof = [&s] { s.inner->aclose(); }; }},
    {kEofRule,
     [](Faulty& s, Faulty&) {
       s.on_send_eof = [&s] {
         s.flag = true;
         s.inner->send_eof();
       };
       s.on_send_all = [&s](Data data) { s.flag ? checkpoint() : s.inner->send_all(data); };
     }},
    {"two tasks cannot send and send_eof() at once",
     [](Faulty& s, Faulty&) {
       note_calls(s);
       s.on_send_eof = [&s] {
         if (s.sending) sleep_forever();
         s.waiting ? throw BusyResourceError("") : s.inner->send_eof();
       };
     }},
    {"two tasks cannot wait for room and send_eof() at once",
     [](Faulty& s, Faulty&) {
       note_calls(s);
       s.on_send_eof = [&s] {
         if (s.sending) throw BusyResourceError("");
         s.waiting ? checkpoint() : s.inner->send_eof();
       };
     }},
};

FIBER_TEST(CheckHalfCloseableStreamTest, FindsEveryKindOfBrokenStream) {
  WEFT_NOT_FAULT_SWEPT("hundreds of runs of it take minutes");
  for (const Fault& fault : kHalfCloseableFaults) {
    expect_found(fault, [&] {
      check_half_closeable_stream(faulty_maker(memory_stream_pair, fault),
                                  faulty_maker(lockstep_stream_pair, fault));
    });
  }
}

}  // namespace
}  // namespace weft::fibers::testing
