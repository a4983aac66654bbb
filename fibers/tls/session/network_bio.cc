// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/tls/session/network_bio.h"

#include <new>
#include <utility>

namespace weft::fibers::detail {

struct NetworkBioMethod {
  static NetworkBio& of(BIO* bio) { return *static_cast<NetworkBio*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* buffer, int size) {
    BIO_clear_retry_flags(bio);
    const int count = of(bio).read(buffer, size);
    if (count < 0) BIO_set_retry_read(bio);
    return count;
  }
  static int write(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    return of(bio).write(data, size);
  }
  static long control(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
    const NetworkBio& network = of(bio);
    switch (command) {
      case BIO_CTRL_EOF:
        return network.eof_ && network.pending_input() == 0 ? 1 : 0;
      case BIO_CTRL_FLUSH:
        return 1;  // OpenSSL gives up if this fails.
      default:
        return 0;
    }
  }
  // Made once and never freed: connections may end later than static objects do.
  static const BIO_METHOD* get() {
    static const BIO_METHOD* const method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weft network");
      if (made == nullptr) throw std::bad_alloc();
      BIO_meth_set_read(made, &read);
      BIO_meth_set_write(made, &write);
      BIO_meth_set_ctrl(made, &control);
      return made;
    }();
    return method;
  }
};

BioPtr NetworkBio::make_bio() {
  BioPtr bio(BIO_new(NetworkBioMethod::get()));
  if (bio == nullptr) throw std::bad_alloc();
  BIO_set_data(bio.get(), this);
  BIO_set_init(bio.get(), 1);
  return bio;
}

void NetworkBio::feed(std::string data) {
  if (input_.size() == read_) {
    input_ = std::move(data);
  } else {
    input_.erase(0, read_);
    input_ += data;
  }
  read_ = 0;
}

void NetworkBio::take_back() {
  const std::string_view rest = std::exchange(lent_, {});
  if (!rest.empty()) feed(std::string(rest));
}

std::string NetworkBio::take_input() {
  take_back();
  std::string rest = input_.substr(read_);
  free_input();
  return rest;
}

// Not by assigning: a string that an empty one is assigned to keeps its memory.
void NetworkBio::free_input() {
  std::string().swap(input_);
  read_ = 0;
}

std::string NetworkBio::take_output() {
  return std::exchange(output_, {});
}

void NetworkBio::rethrow() {
  if (std::exchange(out_of_memory_, false)) throw std::bad_alloc();
}

// -1: there is nothing yet. 0: there will be nothing any more.
int NetworkBio::read(char* buffer, int size) {
  const std::size_t wanted = static_cast<std::size_t>(size);
  if (pending_input() == 0) return eof_ ? 0 : -1;
  if (input_.size() == read_) {
    const std::size_t count = lent_.copy(buffer, wanted);
    lent_.remove_prefix(count);
    return static_cast<int>(count);
  }
  const std::size_t count = input_.copy(buffer, wanted, read_);
  read_ += count;
  if (input_.size() == read_) free_input();
  return static_cast<int>(count);
}

int NetworkBio::write(const char* data, int size) noexcept {
  try {
    output_.append(data, static_cast<std::size_t>(size));
    return size;
  } catch (const std::bad_alloc&) {
    out_of_memory_ = true;
    return -1;
  }
}

}  // namespace weft::fibers::detail
