// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// TLS connections for scenarios that run in every schedule.
//
// A handshake takes a hundred times as long as a small scenario, and has many schedules of its own.
// Where it is not what a scenario is about, one task does both sides of it: then there is nothing
// to choose.

#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "tests/tls/test_authority.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/parking_lot.h"
#include "weft/fibers/stream.h"
#include "weft/fibers/testing/lockstep_stream.h"
#include "weft/fibers/timeouts.h"
#include "weft/tls/ssl_stream.h"

namespace weft::fibers::ssl_explored {

// Runs these as tasks, which begin in any order, and waits for them.
template <class... F>
void together(F... bodies) {
  open_nursery([&](Nursery& nursery) { (nursery.start_soon(bodies), ...); });
}

// Any number below 2^bits: the exploration tries each, once.
inline int any_number(int bits) {
  int number = 0;
  for (int bit = 0; bit < bits; ++bit) {
    int first = -1;
    together([&] { first = first < 0 ? 0 : first; }, [&] { first = first < 0 ? 1 : first; });
    number = 2 * number + first;
  }
  return number;
}

inline void wait_turns(int turns) {
  for (int i = 0; i < turns; ++i) checkpoint();
}

// When the wires of a pair have begun and ended `number` operations; or when all tasks wait.
class Moment {
 public:
  explicit Moment(int number) : left_(number) { set_if_now(); }
  void tick() {
    --left_;
    set_if_now();
  }
  void wait() {
    if (!come_.is_set()) move_on_after(std::chrono::seconds(1), [&] { come_.wait(); });
  }

 private:
  void set_if_now() {
    if (left_ == 0) come_.set();
  }

  int left_;
  Event come_;
};

// Two ends with a buffer between them. As testing::MemoryStream, but without waits that nobody
// needs: each of them doubles the schedules.
class Pipe final : public Stream {
 public:
  static std::pair<Pipe, Pipe> pair() {
    const auto one = std::make_shared<Way>();
    const auto other = std::make_shared<Way>();
    return {Pipe(one, other), Pipe(other, one)};
  }

  void send_all(std::span<const std::byte> data) override {
    wait_send_all_might_not_block();
    out_->data.append(static_cast<const char*>(static_cast<const void*>(data.data())), data.size());
    out_->waiting.unpark_all();
  }
  using SendStream::send_all;
  void wait_send_all_might_not_block() override {
    checkpoint();
    if (out_->sender_closed) throw ClosedResourceError("this pipe is closed");
    if (out_->receiver_closed) throw BrokenResourceError("the pipe's other end is closed");
  }
  std::size_t receive_some(std::span<std::byte> buffer) override {
    checkpoint_if_cancelled();
    if (!in_->readable()) {
      while (!in_->readable()) in_->waiting.park();
    } else {
      cancel_shielded_checkpoint();
    }
    if (in_->receiver_closed) throw ClosedResourceError("this pipe is closed");
    char* const to = static_cast<char*>(static_cast<void*>(buffer.data()));
    const std::size_t count = in_->data.copy(to, buffer.size());
    in_->data.erase(0, count);
    return count;
  }
  using ReceiveStream::receive_some;
  void aclose() override {
    out_->sender_closed = true;
    in_->receiver_closed = true;
    out_->waiting.unpark_all();
    in_->waiting.unpark_all();
    checkpoint();
  }

 private:
  struct Way {
    bool readable() const { return !data.empty() || sender_closed || receiver_closed; }
    std::string data;
    bool sender_closed = false;
    bool receiver_closed = false;
    ParkingLot waiting;
  };
  Pipe(std::shared_ptr<Way> out, std::shared_ptr<Way> in)
      : out_(std::move(out)), in_(std::move(in)) {}

  std::shared_ptr<Way> out_;
  std::shared_ptr<Way> in_;
};

// What is below an SSLStream. It can be exchanged while nobody uses it, and knows what happened.
class Wire final : public Stream {
 public:
  explicit Wire(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}

  void send_all(std::span<const std::byte> data) override {
    const Use use(*this);
    try {
      stream_->send_all(data);
    } catch (...) {
      torn_ = true;
      throw;
    }
  }
  using SendStream::send_all;
  void wait_send_all_might_not_block() override {
    const Use use(*this);
    stream_->wait_send_all_might_not_block();
  }
  std::size_t receive_some(std::span<std::byte> buffer) override {
    const Use use(*this);
    return stream_->receive_some(buffer);
  }
  using ReceiveStream::receive_some;
  void aclose() override {
    closed_ = true;
    stream_->aclose();
  }

  void exchange(std::unique_ptr<Stream> stream) { stream_ = std::move(stream); }
  void watch(std::shared_ptr<Moment> moment) { moment_ = std::move(moment); }
  bool torn() const { return torn_; }  // A send_all() has not come to its end.
  bool closed() const { return closed_; }
  bool in_use() const { return uses_ > 0; }

 private:
  struct Use {
    explicit Use(Wire& used) : wire(used) {
      ++wire.uses_;
      wire.tick();
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() {
      --wire.uses_;
      wire.tick();
    }
    Wire& wire;
  };
  void tick() {
    if (moment_ != nullptr) moment_->tick();
  }

  std::unique_ptr<Stream> stream_;
  std::shared_ptr<Moment> moment_;
  int uses_ = 0;
  bool torn_ = false;
  bool closed_ = false;
};

enum class Below { kPipe, kLockstep };

// In one task: whoever has to wait for the other is cut short, and goes on in its next turn.
inline void shake_hands(SSLStream& client, SSLStream& server) {
  for (int turn = 0; turn < 3; ++turn) {
    for (SSLStream* side : {&client, &server}) {
      move_on_after(std::chrono::seconds(1), [&] { side->do_handshake(); });
    }
  }
  EXPECT_EQ(client.version(), server.version());
}

// A client and a server, who have not shaken hands.
class Pair {
 public:
  explicit Pair(Below below = Below::kPipe, TLSVersion version = TLSVersion::kTls13)
      : Pair(make_wires(below), version) {}

  SSLStream client;
  SSLStream server;

  Wire& client_wire() const { return client.transport_stream<Wire>(); }
  Wire& server_wire() const { return server.transport_stream<Wire>(); }

  void shake_hands() { ssl_explored::shake_hands(client, server); }

 private:
  using Wires = std::pair<std::unique_ptr<Wire>, std::unique_ptr<Wire>>;

  template <class T>
  static Wires wires_over(std::pair<T, T> ends) {
    return {std::make_unique<Wire>(std::make_unique<T>(std::move(ends.first))),
            std::make_unique<Wire>(std::make_unique<T>(std::move(ends.second)))};
  }
  static Wires make_wires(Below below) {
    return below == Below::kPipe ? wires_over(Pipe::pair())
                                 : wires_over(testing::lockstep_stream_pair());
  }
  // Made once, because reading certificates takes time.
  static const SSLContext& client_context(TLSVersion version) {
    static const SSLContext newest = test_client_context();
    static const SSLContext older = [] {
      SSLContext context = test_client_context();
      context.set_maximum_version(TLSVersion::kTls12);
      return context;
    }();
    return version == TLSVersion::kTls12 ? older : newest;
  }
  static const SSLContext& server_context() {
    static const SSLContext context = test_server_context();
    return context;
  }

  Pair(Wires wires, TLSVersion version)
      : client(std::move(wires.first), client_context(version), {.server_hostname = "example.org"}),
        server(std::move(wires.second), server_context(), {.server_side = true}) {}
};

// The same after the handshake.
struct ShakenPair : Pair {
  explicit ShakenPair(Below below = Below::kPipe, TLSVersion version = TLSVersion::kTls13)
      : Pair(Below::kPipe, version) {
    shake_hands();
    if (below == Below::kPipe) return;
    auto ends = testing::lockstep_stream_pair();
    using End = testing::LockstepStream;
    client_wire().exchange(std::make_unique<End>(std::move(ends.first)));
    server_wire().exchange(std::make_unique<End>(std::move(ends.second)));
  }
};

// Runs the bodies as tasks, and `action` as another one: at every moment there is, if `number` is
// any.
template <class Action, class... F>
void at_moment(Pair& pair, int number, Action action, F... bodies) {
  const auto moment = std::make_shared<Moment>(number);
  pair.client_wire().watch(moment);
  pair.server_wire().watch(moment);
  together(
      [&] {
        moment->wait();
        action();
      },
      bodies...);
}

// How a call ended.
enum class End { kDone, kBroken, kClosed, kBusy, kCancelled };

template <class F>
End end_of(F&& call) {
  try {
    call();
  } catch (const BrokenResourceError&) {
    return End::kBroken;
  } catch (const ClosedResourceError&) {
    return End::kClosed;
  } catch (const BusyResourceError&) {
    return End::kBusy;
  }
  return End::kDone;
}
// The same of a call in a scope of its own.
template <class F>
End end_of(CancelScope& scope, F&& call) {
  End end = End::kDone;
  const auto result = scope.run([&] { end = end_of(call); });
  return result.finished() ? end : End::kCancelled;
}

// What comes until the end of the stream, whatever kind of end that is.
inline std::string receive_to_end(SSLStream& stream, End& end) {
  std::string all;
  end = end_of([&] {
    for (std::string some; !(some = stream.receive_some(64)).empty();) all += some;
  });
  return all;
}

}  // namespace weft::fibers::ssl_explored
