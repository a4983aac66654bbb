// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/net/hooks.h"

#include <memory>
#include <utility>

#include "weft/fibers/run_var.h"

namespace weft::fibers::socket {

namespace {

// The place is made once in a run: to put back what was there before allocates nothing.
template <class T>
using Hook = RunVar<std::shared_ptr<T*>>;

template <class T>
T* look_at(const Hook<T>& hook) {
  const std::shared_ptr<T*> place = hook.get(nullptr);
  return place != nullptr ? *place : nullptr;
}

template <class T>
T* exchange_in_run(Hook<T>& hook, T* next) {
  if (const std::shared_ptr<T*> place = hook.get(nullptr)) return std::exchange(*place, next);
  hook.set(std::make_shared<T*>(next));
  return nullptr;
}

Hook<HostnameResolver>& resolver_of_run() {
  static Hook<HostnameResolver> hook("hostname resolver");
  return hook;
}

Hook<SocketFactory>& factory_of_run() {
  static Hook<SocketFactory> hook("socket factory");
  return hook;
}

}  // namespace

HostnameResolver* custom_hostname_resolver() {
  return look_at(resolver_of_run());
}
SocketFactory* custom_socket_factory() {
  return look_at(factory_of_run());
}

HostnameResolver* set_custom_hostname_resolver(HostnameResolver* resolver) {
  return exchange_in_run(resolver_of_run(), resolver);
}
SocketFactory* set_custom_socket_factory(SocketFactory* factory) {
  return exchange_in_run(factory_of_run(), factory);
}

}  // namespace weft::fibers::socket
