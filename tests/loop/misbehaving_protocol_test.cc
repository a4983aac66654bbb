// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Protocols that do in a callback what one hopes they do not: whatever that is, and in whichever
// callback, the transport ends once, tells so once and last, and gives its descriptor back.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/loop/pipe_testing.h"
#include "tests/loop/transport_testing.h"
#include "weft/fibers/timeouts.h"

namespace weft::loop {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using namespace testing;  // NOLINT: the helpers of the folder.

[[maybe_unused]] constexpr const char* kReachesAll =
    "it gets to all of the callbacks, which a fault prevents";

enum class Where : std::uint8_t { kMade, kData, kEof, kPause, kResume, kLost };
enum class Deed : std::uint8_t { kThrows, kCloses, kAborts, kReplacesItself, kWaits };

constexpr std::array kPlaces{Where::kMade,  Where::kData,   Where::kEof,
                             Where::kPause, Where::kResume, Where::kLost};
constexpr std::array kDeeds{Deed::kThrows, Deed::kCloses, Deed::kAborts, Deed::kReplacesItself,
                            Deed::kWaits};
constexpr std::array kPlaceNames{"made", "data", "eof", "pause", "resume", "lost"};
constexpr std::array kDeedNames{"throws", "closes", "aborts", "replaces itself", "waits"};

struct Misdeed {
  Where where;
  Deed deed;
};
std::ostream& operator<<(std::ostream& out, const Misdeed& misdeed) {
  return out << kDeedNames.at(static_cast<std::size_t>(misdeed.deed)) << " in "
             << kPlaceNames.at(static_cast<std::size_t>(misdeed.where));
}

using Told = std::vector<Where>;

// Its misdeed is the first time that the place is reached. What is told to it, and to the one that
// it puts in its place, stands in `told`.
class Misbehaving : public Protocol, public std::enable_shared_from_this<Misbehaving> {
 public:
  Misbehaving(std::shared_ptr<Told> told, const Misdeed& misdeed)
      : told_(std::move(told)), misdeed_(misdeed) {}

  void connection_made(Transport made) override {
    transport = std::move(made);
    note(Where::kMade);
  }
  void data_received(std::string_view) override { note(Where::kData); }
  bool eof_received() override {
    note(Where::kEof);
    return false;
  }
  void pause_writing() override { note(Where::kPause); }
  void resume_writing() override { note(Where::kResume); }
  void connection_lost(std::exception_ptr) override {
    const Transport last = std::exchange(transport, {});
    note(Where::kLost, last);
  }

  Transport transport;
  bool done = false;

 private:
  void note(Where where) { note(where, transport); }
  void note(Where where, Transport of) {
    told_->push_back(where);
    if (where != misdeed_.where || std::exchange(done, true)) return;
    switch (misdeed_.deed) {
      case Deed::kThrows:
        throw std::runtime_error("a protocol's mistake");
      case Deed::kCloses:
        return of.close();
      case Deed::kAborts:
        return of.abort();
      case Deed::kReplacesItself: {
        const auto other = std::make_shared<Misbehaving>(told_, misdeed_);
        other->done = true;
        other->transport = of;
        return of.set_protocol(other);
      }
      case Deed::kWaits:
        return fibers::sleep_forever();
    }
  }

  std::shared_ptr<Told> told_;
  const Misdeed misdeed_;
};

// What is the same for all kinds of transports.
class Connected {
 public:
  Connected(EventLoop& loop, const Misdeed& misdeed)
      : loop_(loop), misdeed_(misdeed), protocol(std::make_shared<Misbehaving>(told_, misdeed)) {
    loop.set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
      reports_.push_back(what(context.exception));
    });
  }
  Connected(const Connected&) = delete;
  Connected& operator=(const Connected&) = delete;
  ~Connected() { be_strict(loop_); }

  auto factory() {
    return [protocol = protocol] { return protocol; };
  }
  // In a callback, which may wait.
  void write_much() {
    loop_.call_soon([protocol = protocol] {
      if (protocol->transport) protocol->transport.write(much());
    });
    turn();
  }
  // Some iterations; who waits in a callback is cancelled.
  void turn() {
    for (int i = 0; i < 5; ++i) loop_.synchronize();
    loop_.cancel_blocked();
    for (int i = 0; i < 5; ++i) loop_.synchronize();
  }
  bool is_lost() const { return !told_->empty() && told_->back() == Where::kLost; }
  // The transport has `fd`.
  void end(int fd) {
    if (protocol->transport) protocol->transport.abort();
    for (int i = 0; i < 100 && !is_lost(); ++i) turn();
    turn();
    ASSERT_FALSE(told_->empty()) << misdeed_;
    EXPECT_EQ(told_->front(), Where::kMade) << misdeed_;
    EXPECT_EQ(std::ranges::count(*told_, Where::kLost), 1) << misdeed_;
    EXPECT_EQ(told_->back(), Where::kLost) << misdeed_;
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1) << misdeed_;
    if (protocol->done && misdeed_.deed == Deed::kThrows) {
      EXPECT_THAT(reports_, Contains("a protocol's mistake")) << misdeed_;
    }
  }

 private:
  static std::string what(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& exception) {
      return exception.what();
    }
  }

  EventLoop& loop_;
  const Misdeed misdeed_;
  const std::shared_ptr<Told> told_ = std::make_shared<Told>();
  std::vector<std::string> reports_;

 public:
  const std::shared_ptr<Misbehaving> protocol;
};

template <class F>
void for_each_misdeed(F&& fn) {
  for (const Where where : kPlaces) {
    for (const Deed deed : kDeeds) {
      with_loop([&](EventLoop& loop) { fn(loop, Misdeed{where, deed}); });
    }
  }
}

FIBER_TEST(MisbehavingProtocolTest, OfASocketLeavesNothingBehind) {
  WEFT_NOT_FAULT_SWEPT(kReachesAll);
  std::size_t misdeeds = 0;
  for_each_misdeed([&](EventLoop& loop, const Misdeed& misdeed) {
    SocketPair pair;
    const int fd = pair.transports();
    Connected connected(loop, misdeed);
    auto connecting = loop.create_task(loop.create_connection(connected.factory(), pair.take()));
    connected.turn();
    connected.write_much();
    while (!pair.get().empty()) connected.turn();
    if (!connected.is_lost()) pair.put("data");
    connected.turn();
    pair.close_peer();
    connected.turn();
    connected.end(fd);
    misdeeds += connected.protocol->done ? 1 : 0;
  });
  EXPECT_EQ(misdeeds, kPlaces.size() * kDeeds.size());
}

FIBER_TEST(MisbehavingProtocolTest, OfAReadPipeLeavesNothingBehind) {
  WEFT_NOT_FAULT_SWEPT(kReachesAll);
  std::size_t misdeeds = 0;
  for_each_misdeed([&](EventLoop& loop, const Misdeed& misdeed) {
    Ends pipe;
    const int fd = pipe[0];
    Connected connected(loop, misdeed);
    auto connecting = loop.create_task(loop.connect_read_pipe(connected.factory(), pipe.give(0)));
    connected.turn();
    if (!connected.is_lost()) pipe.put("data");
    connected.turn();
    pipe.close(1);
    connected.turn();
    connected.end(fd);
    misdeeds += connected.protocol->done ? 1 : 0;
  });
  EXPECT_EQ(misdeeds, 4 * kDeeds.size()) << "made, data, eof, lost";
}

FIBER_TEST(MisbehavingProtocolTest, OfAWritePipeLeavesNothingBehind) {
  WEFT_NOT_FAULT_SWEPT(kReachesAll);
  std::size_t misdeeds = 0;
  for_each_misdeed([&](EventLoop& loop, const Misdeed& misdeed) {
    Ends pipe;
    const int fd = pipe[1];
    ASSERT_EQ(::fcntl(pipe[0], F_SETFL, O_NONBLOCK), 0);
    Connected connected(loop, misdeed);
    auto connecting = loop.create_task(loop.connect_write_pipe(connected.factory(), pipe.give(1)));
    connected.turn();
    connected.write_much();
    while (!pipe.take().empty()) connected.turn();
    connected.turn();
    pipe.close(0);
    connected.turn();
    connected.end(fd);
    misdeeds += connected.protocol->done ? 1 : 0;
  });
  EXPECT_EQ(misdeeds, 4 * kDeeds.size()) << "made, pause, resume, lost";
}

// A child's protocol that waits wherever it is called, until it is cancelled.
struct WaitingChild : SubprocessProtocol {
  void connection_made(SubprocessTransport) override { note("made"); }
  void pipe_connection_lost(int fd, std::exception_ptr) override {
    note("pipe " + std::to_string(fd));
  }
  void process_exited() override { note("exited"); }
  void connection_lost(std::exception_ptr) override { note("lost"); }
  void note(std::string what) {
    told.push_back(std::move(what));
    fibers::sleep_forever();
  }
  std::vector<std::string> told;
};

FIBER_TEST(MisbehavingProtocolTest, OfAChildHearsOfItsEndAlsoIfItsWaitsAreCancelled) {
  WEFT_NOT_FAULT_SWEPT(kWaitsForData);
  const auto protocol = std::make_shared<WaitingChild>();
  with_loop([&](EventLoop& loop) {
    auto starting = loop.create_task(
        loop.subprocess_exec([protocol = protocol] { return protocol; }, {"true"},
                             {.stdin = kDevNull, .stdout = kPipe, .stderr = kDevNull}));
    while (protocol->told.empty() || protocol->told.back() != "lost") {
      loop.synchronize();
      loop.cancel_blocked();
    }
    loop.synchronize();
    EXPECT_EQ(await(starting).first.get_returncode(), 0);
  });
  EXPECT_THAT(protocol->told, ::testing::AnyOf(ElementsAre("made", "pipe 1", "exited", "lost"),
                                               ElementsAre("made", "exited", "pipe 1", "lost")));
}

}  // namespace
}  // namespace weft::loop
