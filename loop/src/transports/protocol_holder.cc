// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/protocol_holder.h"

#include <utility>

#include "weft/fibers/errors.h"

namespace weft::loop::detail {

// Room for the one after this, too, so that drop() cannot fail.
void ProtocolHolder::set(std::shared_ptr<BaseProtocol> protocol) {
  retired_.reserve(retired_.size() + 2);
  if (calls_ > 0 && protocol_ != nullptr) {
    retired_.push_back(std::exchange(protocol_, std::move(protocol)));
  } else {
    const std::shared_ptr<BaseProtocol> before = std::exchange(protocol_, std::move(protocol));
  }
}

void ProtocolHolder::drop() noexcept {
  if (protocol_ == nullptr) return;
  if (calls_ > 0) {
    retired_.push_back(std::exchange(protocol_, nullptr));
  } else {
    const std::shared_ptr<BaseProtocol> before = std::exchange(protocol_, nullptr);
  }
}

// Destructors are the user's code, and may come back here.
void ProtocolHolder::drop_retired() noexcept {
  std::vector<std::shared_ptr<BaseProtocol>> retired;
  retired.swap(retired_);
  retired.clear();
  if (retired_.empty()) retired_.swap(retired);  // Its memory is for drop().
}

void StreamProtocol::set(std::shared_ptr<BaseProtocol> protocol) {
  auto* const plain = dynamic_cast<Protocol*>(protocol.get());
  auto* const buffered = dynamic_cast<BufferedProtocol*>(protocol.get());
  if (plain == nullptr && buffered == nullptr) {
    throw fibers::UsageError(
        protocol == nullptr
            ? "a transport needs a protocol"
            : "a transport of a stream needs a Protocol or a BufferedProtocol; this is neither");
  }
  holder_.set(std::move(protocol));
  plain_ = plain;
  buffered_ = buffered;
}

void StreamProtocol::drop() noexcept {
  plain_ = nullptr;
  buffered_ = nullptr;
  holder_.drop();
}

void StreamProtocol::connection_made(Transport transport) {
  if (plain_ != nullptr) {
    plain_->connection_made(std::move(transport));
  } else if (buffered_ != nullptr) {
    buffered_->connection_made(std::move(transport));
  }
}

bool StreamProtocol::eof_received() {
  if (plain_ != nullptr) return plain_->eof_received();
  return buffered_ != nullptr && buffered_->eof_received();
}

}  // namespace weft::loop::detail
