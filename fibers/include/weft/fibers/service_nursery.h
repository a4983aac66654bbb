// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A nursery whose tasks serve its body: they are there for as long as the body needs them, and not
// longer.
//
//   open_service_nursery([&](ServiceNursery& services) {
//     services.start_soon([&] { keep_alive(connection); });
//     services.start_soon([&] { read_replies(connection); });
//     talk(connection);                  // also its clean-up, when it is cancelled
//   });                                  // the services are cancelled
//
// Beyond Trio, and asked for there. (tricycle: open_service_nursery, which leaves it to the body to
// end its services.)

#pragma once

#include <functional>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/nursery.h"

namespace weft::fibers {

class ServiceNursery;

namespace detail {
// The scope around a service: a shield until the body has ended. Lies in the service's frame.
class ServiceScope {
 public:
  explicit ServiceScope(ServiceNursery& nursery, bool shield);
  ServiceScope(const ServiceScope&) = delete;
  ServiceScope& operator=(const ServiceScope&) = delete;
  ~ServiceScope();

  CancelScope& scope() { return scope_; }
  // The service has started, and is the nursery's unless the caller of start() was cancelled.
  void started();

 private:
  friend class fibers::ServiceNursery;
  ServiceNursery& nursery_;
  const Task& service_;
  CancelScope scope_;
  ServiceScope* next_;
  ServiceScope** before_;
};

// What the tasks run.
template <class F>
struct ServiceBody {
  using Checked = CheckedPartOf<F>;
  F fn;
  ServiceNursery* services;
  void operator()() {
    ServiceScope service(*services, true);
    service.scope().run([&] { std::invoke(fn); });
  }
};
template <class F>
struct StartServiceBody {
  using Checked = CheckedPartOf<F>;
  F fn;
  ServiceNursery* services;
  template <class T>
  void operator()(TaskStatus<T>& status);
};
}  // namespace detail

// What start() gives to its function, instead of a TaskStatus: take it by reference, or by `auto&`.
template <class T>
class ServiceStatus {
 public:
  ServiceStatus(TaskStatus<T>& status, detail::ServiceScope& scope)
      : status_(status), scope_(scope) {}
  // As TaskStatus::started.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  template <class... V>
  void started(V&&... value) {
    status_.started(std::forward<V>(value)...);
    scope_.started();
  }

 private:
  TaskStatus<T>& status_;
  detail::ServiceScope& scope_;
};

namespace detail {
template <class F>
template <class T>
void StartServiceBody<F>::operator()(TaskStatus<T>& status) {
  ServiceScope service(*services, false);
  service.scope().run([&] {
    ServiceStatus<T> wrapped(status, service);
    std::invoke(fn, wrapped);
  });
}
}  // namespace detail

// A resource, like a Nursery.
class ServiceNursery {
 public:
  explicit ServiceNursery(Nursery& nursery) : nursery_(nursery) {}
  ServiceNursery(const ServiceNursery&) = delete;
  ServiceNursery& operator=(const ServiceNursery&) = delete;

  // Starts `fn` as a service: a task that hears of no cancellation before the body has ended, and
  // then of one that is this nursery's own. It may end earlier. Its error cancels the body.
  //
  // Blocks: no.
  // Cancel: not a checkpoint.
  // Threads: the run's own only.
  template <class F>
  void start_soon(F&& fn, const TaskOptions& options = {},
                  std::source_location site = std::source_location::current()) {
    nursery_.start_soon(detail::ServiceBody<std::decay_t<F>>{std::forward<F>(fn), this}, options,
                        site);
  }

  // Starts `fn(status)` and waits until it calls `status.started(value)`; up to there it is
  // cancelled with the caller, as in Nursery::start, and from there on a service. `status` is a
  // ServiceStatus<T>&.
  //
  // Blocks: yes, always a checkpoint.
  // Cancel: cancels the task and waits for it.
  // Threads: the run's own only.
  template <class T = void, class F>
  T start(F&& fn, const TaskOptions& options = {},
          std::source_location site = std::source_location::current()) {
    return nursery_.start<T>(detail::StartServiceBody<std::decay_t<F>>{std::forward<F>(fn), this},
                             options, site);
  }

  // Around the body and the services; cancelling it cancels the body, and thereby all.
  CancelScope& cancel_scope() { return nursery_.cancel_scope(); }

  // For open_service_nursery: the body has ended. Lets cancellation through and cancels.
  void end_services();

 private:
  friend class detail::ServiceScope;
  Nursery& nursery_;
  detail::ServiceScope* first_ = nullptr;
  bool ended_ = false;
};

// Runs `body(services)`, then cancels the services and waits for them; returns what the body
// returned. If it is cancelled from outside, by a service's error or by its own scope, the body
// hears of it first, and the services only when it has ended: they serve also its clean-up. All
// errors come out in one ExceptionGroup.
//
// Blocks: yes, always a schedule point.
// Cancel: cancels the body, then the services, and waits.
// Threads: the run's own only.
template <class F>
auto open_service_nursery(F&& body, std::source_location site = std::source_location::current())
    -> std::invoke_result_t<F, ServiceNursery&> {
  using R = std::invoke_result_t<F, ServiceNursery&>;
  std::optional<ServiceNursery> services;  // The tasks use it until the nursery has closed.
  return open_nursery(
      [&](Nursery& nursery) -> R {
        services.emplace(nursery);
        try {
          if constexpr (std::is_void_v<R>) {
            std::invoke(std::forward<F>(body), *services);
            services->end_services();
          } else {
            R result = std::invoke(std::forward<F>(body), *services);
            services->end_services();
            return result;
          }
        } catch (...) {
          services->end_services();
          throw;
        }
      },
      site);
}

}  // namespace weft::fibers
