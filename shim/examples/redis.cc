// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A Redis client on hiredis: its hooks are add_reader and add_writer, and a command is a
// wait_for_callback. The path of the server's socket is the argument.
//
// Prints:
//   fruit: an apple
//   three visits at once: 3
//   error: ERR value is not an integer or out of range
//   nobody has pushed anything for 50 ms

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/nursery.h"
#include "weft/fibers/timeouts.h"
#include "weft/shim/shim.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;

class Redis {
 public:
  Redis(weft::EventLoop& loop, const std::string& path)
      : loop_(loop), context_(redisAsyncConnectUnix(path.c_str())) {
    if (context_ == nullptr) throw std::bad_alloc();
    if (context_->err != 0) {
      const std::string why = path + ": " + context_->errstr;
      redisAsyncFree(context_);
      throw std::runtime_error(why);
    }
    auto& hooks = context_->ev;
    hooks.data = this;
    hooks.addRead = [](void* self) {
      Redis& redis = *static_cast<Redis*>(self);
      redis.loop_.add_reader(redis.fd(), [&redis] { redisAsyncHandleRead(redis.context_); });
    };
    hooks.delRead = [](void* self) {
      Redis& redis = *static_cast<Redis*>(self);
      redis.loop_.remove_reader(redis.fd());
    };
    hooks.addWrite = [](void* self) {
      Redis& redis = *static_cast<Redis*>(self);
      redis.loop_.add_writer(redis.fd(), [&redis] { redisAsyncHandleWrite(redis.context_); });
    };
    hooks.delWrite = [](void* self) {
      Redis& redis = *static_cast<Redis*>(self);
      redis.loop_.remove_writer(redis.fd());
    };
    hooks.cleanup = [](void* self) {  // hiredis frees the context, also after an error of its own
      Redis& redis = *static_cast<Redis*>(self);
      redis.loop_.remove_reader(redis.fd());
      redis.loop_.remove_writer(redis.fd());
      redis.context_ = nullptr;
    };
  }
  Redis(const Redis&) = delete;
  Redis& operator=(const Redis&) = delete;
  ~Redis() {
    if (context_ != nullptr) redisAsyncFree(context_);  // calls back whoever still waits
  }

  std::string command(const std::vector<std::string>& words) {
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    for (const std::string& word : words) {
      texts.push_back(word.data());
      sizes.push_back(word.size());
    }
    return weft::wait_for_callback<std::string>(
        [&](weft::Completion<std::string> done) {
          if (context_ == nullptr) throw std::runtime_error("the connection is closed");
          void* const user = std::move(done).into_pointer();
          if (redisAsyncCommandArgv(context_, &on_reply, user, static_cast<int>(texts.size()),
                                    texts.data(), sizes.data()) != REDIS_OK) {
            weft::Completion<std::string>::take_pointer(user);  // hiredis has not kept it
            throw std::runtime_error("the connection is being closed");
          }
        },
        // hiredis cannot take a command back. The reply comes later, and is dropped.
        [] { return weft::CancelResult::kAbandoned; });
  }

 private:
  // hiredis is C: no exception may pass through it.
  static void on_reply(redisAsyncContext* context, void* data, void* user) noexcept {
    const auto done = weft::Completion<std::string>::take_pointer(user);
    try {
      const auto* reply = static_cast<const redisReply*>(data);
      if (reply == nullptr) throw std::runtime_error(context->errstr);
      std::string text = reply->type == REDIS_REPLY_INTEGER ? std::to_string(reply->integer)
                         : reply->str == nullptr            ? std::string()
                                                            : std::string(reply->str, reply->len);
      if (reply->type == REDIS_REPLY_ERROR) throw std::runtime_error(text);
      done(std::move(text));
    } catch (...) {
      done.fail(std::current_exception());
    }
  }

  int fd() const { return context_->c.fd; }

  weft::EventLoop& loop_;
  redisAsyncContext* context_;
};

int main(int argc, char** argv) {
  return weft::main([&](weft::EventLoop& loop) {
    Redis redis(loop, argc > 1 ? argv[1] : "/run/redis/redis-server.sock");
    redis.command({"SET", "fruit", "an apple"});
    std::cout << "fruit: " << redis.command({"GET", "fruit"}) << '\n';

    trio::open_nursery([&](trio::Nursery& nursery) {
      for (int i = 0; i < 3; ++i) nursery.start_soon([&] { redis.command({"INCR", "visits"}); });
    });
    std::cout << "three visits at once: " << redis.command({"GET", "visits"}) << '\n';

    try {
      redis.command({"INCR", "fruit"});
    } catch (const std::runtime_error& error) {
      std::cout << "error: " << error.what() << '\n';
    }

    const bool in_time = trio::move_on_after(50ms, [&] { redis.command({"BLPOP", "jobs", "0"}); });
    if (!in_time) std::cout << "nobody has pushed anything for 50 ms\n";
  });
}
