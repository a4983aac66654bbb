// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/loop_object.h"

#include <new>
#include <utility>

#include "loop/core/node_life.h"
#include "weft/fibers/errors.h"

namespace weft::loop::detail {

LoopObject::LoopObject(LoopCore& loop) noexcept : loop_(loop) {
  loop_.retain();
}

LoopObject::~LoopObject() {
  loop_.release();
}

EventLoop& LoopObject::event_loop() const {
  return facade_of(loop_);
}

EventLoop& facade_of(const LoopCore& loop) {
  if (EventLoop* const facade = loop.facade()) return *facade;
  throw fibers::UsageError("the event loop is gone");
}

void LoopObject::keep_open() noexcept {
  if (at_ != nullptr) return;
  retain();
  loop_.open_objects().add(*this);
}

void LoopObject::let_go() noexcept {
  if (at_ == nullptr) return;
  OpenObjects::remove(*this);
  release();
}

void OpenObjects::add(LoopObject& object) noexcept {
  object.next_ = first_;
  object.at_ = &first_;
  if (first_ != nullptr) first_->at_ = &object.next_;
  first_ = &object;
}

void OpenObjects::remove(LoopObject& object) noexcept {
  *object.at_ = object.next_;
  if (object.next_ != nullptr) object.next_->at_ = object.at_;
  object.next_ = nullptr;
  object.at_ = nullptr;
}

// Each is visited at least once: whoever leaves the list meanwhile takes the place in it along.
template <class F>
void OpenObjects::for_each(F&& fn) {
  for (LoopObject* object = first_; object != nullptr;) {
    object->retain();
    fn(*object);
    LoopObject* const next = object->at_ != nullptr ? object->next_ : first_;
    object->release();
    object = next;
  }
}

// The marks come first: what the exception handler closes was left open all the same.
void OpenObjects::find_unclosed(bool tell) noexcept {
  for (LoopObject* object = first_; object != nullptr; object = object->next_) {
    if (object->unclosed()) object->was_left_open_ = true;
  }
  if (!tell) return;
  for_each([](LoopObject& object) {
    if (!object.was_left_open_ || object.belongs_to_another_) return;
    if (std::exchange(object.reported_open_, true)) return;
    try {
      object.report_unclosed();
    } catch (const std::bad_alloc&) {
      // Without memory for what it says there is no report.
    }
  });
}

void OpenObjects::close_all() noexcept {
  while (first_ != nullptr) {
    LoopObject& object = *first_;
    remove(object);
    object.loop_closed();
    object.release();
  }
}

void OpenObjects::wind_up(WindUp stage) {
  std::exception_ptr error;
  for_each([&](LoopObject& object) {
    try {
      object.wind_up(stage);
    } catch (...) {
      error = std::current_exception();
    }
  });
  if (error != nullptr) std::rethrow_exception(error);
}

void OwnedCallback::schedule() noexcept {
  if (queued()) return;
  if (running()) {
    owned.again = true;
    return;
  }
  if (core->is_closed()) return;
  if (refs++ == 0) owned.owner->retain();
  core->push_ready(this);
}

void owned_callback::let_go(HandleNode& node) noexcept {
  node.owned.owner->release();
}

const fibers::RunRef& run_of(const LoopCore& loop) {
  return loop.run_ref();
}

ReadBuffer::ReadBuffer(LoopCore& loop)
    : loop_(loop), data_(loop.read_buffers().take(kReadBufferSize)) {}

ReadBuffer::~ReadBuffer() {
  loop_.read_buffers().give(data_);
}

void claim_descriptor(LoopCore& loop, int fd, const TransportCore& transport) {
  loop.fds().claim(fd, transport);
}

void disclaim_descriptor(LoopCore& loop, int fd) noexcept {
  loop.fds().disclaim(fd);
}

void report(LoopCore& loop, const TransportReport& report) noexcept {
  loop.reports().report_without_throwing({.message = text(report.message),
                                          .exception = report.exception,
                                          .transport = report.transport,
                                          .protocol = report.protocol,
                                          .server = report.server,
                                          .socket = report.socket,
                                          .source = {}});
}

}  // namespace weft::loop::detail
