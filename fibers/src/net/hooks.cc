// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/net/hooks.h"

#include "weft/fibers/run_var.h"

namespace weft::fibers::socket {

namespace {

template <class T>
T* exchange_in_run(RunVar<T*>& variable, T* next) {
  T* before = variable.get(nullptr);
  variable.set(next);
  return before;
}

RunVar<HostnameResolver*>& resolver_of_run() {
  static RunVar<HostnameResolver*> variable("hostname resolver");
  return variable;
}

RunVar<SocketFactory*>& factory_of_run() {
  static RunVar<SocketFactory*> variable("socket factory");
  return variable;
}

}  // namespace

HostnameResolver* custom_hostname_resolver() {
  return resolver_of_run().get(nullptr);
}
SocketFactory* custom_socket_factory() {
  return factory_of_run().get(nullptr);
}

HostnameResolver* set_custom_hostname_resolver(HostnameResolver* resolver) {
  return exchange_in_run(resolver_of_run(), resolver);
}
SocketFactory* set_custom_socket_factory(SocketFactory* factory) {
  return exchange_in_run(factory_of_run(), factory);
}

}  // namespace weft::fibers::socket
