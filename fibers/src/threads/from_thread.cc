// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/from_thread.h"

#include "fibers/src/threads/thread_host.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"

namespace weft::fibers {

namespace detail {
constinit thread_local const HostLink* host_link = nullptr;
}

namespace from_thread {

using fibers::detail::host_link;
using fibers::detail::HostLink;

namespace {

void call_in_host(const HostLink& link, const std::shared_ptr<detail::Call>& call) {
  link.token.run_sync_soon([host = link.host, call] {
    host->request = call;
    reschedule(*host->task);  // It waits: who can call does not abandon, and has not returned.
  });
}

// A Cancelled goes to the thread, and also on through the task.
void run_in_system_task(const std::shared_ptr<detail::Call>& call,
                        const std::shared_ptr<fibers::detail::ThreadHost>& host) {
  try {
    spawn_system_task(
        [call, host] {
          const fibers::detail::ThreadHost::CallsBack waiting_for_us(host.get());
          const std::exception_ptr error = call->make_in_context();
          if (error != nullptr && holds<Cancelled>(error)) std::rethrow_exception(error);
        },
        {.name = "from_thread.run"});
  } catch (const UsageError&) {
    call->refuse(std::make_exception_ptr(RunFinishedError()));
  } catch (...) {
    call->refuse(std::current_exception());
  }
}

// `host` is null if the run is not the one in which a task waits for this thread.
void call_beside_tasks(const Token& token, const std::shared_ptr<detail::Call>& call,
                       const std::shared_ptr<fibers::detail::ThreadHost>& host) {
  token.run_sync_soon([call, host] {
    if (call->may_wait()) {
      run_in_system_task(call, host);
    } else {
      call->make();
    }
  });
}

}  // namespace

namespace detail {

Call::Call(bool may_wait) : may_wait_(may_wait), context_(fibers::detail::detach_own_locals()) {}

Call::~Call() {
  fibers::detail::release_locals(context_);
}

std::exception_ptr Call::make_in_context() {
  fibers::detail::TaskLocals* const own =
      fibers::detail::exchange_locals(std::exchange(context_, nullptr));
  std::exception_ptr error = run();
  fibers::detail::release_locals(fibers::detail::exchange_locals(own));
  // Not before: the thread's values are gone from here when the thread goes on.
  done_.release();
  return error;
}

std::exception_ptr Call::make() {
  fibers::detail::TaskLocals** const before = fibers::detail::set_callback_locals(&context_);
  std::exception_ptr error = run();
  fibers::detail::set_callback_locals(before);
  fibers::detail::release_locals(std::exchange(context_, nullptr));
  done_.release();
  return error;
}

void Call::refuse(std::exception_ptr error) {
  fail(std::move(error));
  done_.release();
}

void make_call(const std::shared_ptr<Call>& call, const FromThreadOptions& options) {
  if (in_trio_run()) {
    throw UsageError(
        "from_thread blocks its thread, and this one is inside a run; call the function directly, "
        "or from a worker of to_thread::run_sync");
  }
  const HostLink* link = host_link;
  if (options.token) {
    const bool same_run = link != nullptr && link->token == *options.token;
    call_beside_tasks(*options.token, call, same_run ? link->host : nullptr);
  } else if (link == nullptr) {
    throw UsageError(
        "no task waits for this thread, which was not started by to_thread::run_sync; name the run "
        "with FromThreadOptions::token");
  } else if (link->host->abandons) {
    call_beside_tasks(link->token, call, link->host);
  } else {
    call_in_host(*link, call);
  }
  call->wait();
}

}  // namespace detail

void check_cancelled() {
  if (host_link == nullptr) {
    throw UsageError(
        "no task waits for this thread, which was not started by to_thread::run_sync, so nobody "
        "can have cancelled it");
  }
  host_link->host->check_cancelled();
}

}  // namespace from_thread

}  // namespace weft::fibers
