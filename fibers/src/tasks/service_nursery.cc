// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/service_nursery.h"

namespace weft::fibers {

namespace detail {

ServiceScope::ServiceScope(ServiceNursery& nursery, bool shield)
    : nursery_(nursery),
      service_(current_task()),
      scope_({.shield = shield && !nursery.ended_}),
      next_(std::exchange(nursery.first_, this)),
      before_(&nursery.first_) {
  if (next_ != nullptr) next_->before_ = &next_;
}

ServiceScope::~ServiceScope() {
  *before_ = next_;
  if (next_ != nullptr) next_->before_ = before_;
}

// Maybe called by another task, one that the service has started.
void ServiceScope::started() {
  const bool is_service = service_.parent_nursery() == &nursery_.nursery_;
  if (is_service && !nursery_.ended_) scope_.set_shield(true);
}

}  // namespace detail

void ServiceNursery::end_services() {
  ended_ = true;
  for (detail::ServiceScope* s = first_; s != nullptr; s = s->next_) s->scope_.set_shield(false);
  nursery_.cancel_scope().cancel("the body of the service nursery has ended");
}

}  // namespace weft::fibers
