// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What you derive from to be told of a connection. (asyncio: protocols.)
//
//   struct Echo : Protocol {
//     void connection_made(Transport made) override { transport = std::move(made); }
//     void data_received(std::string_view data) override { transport.write(data); }
//     Transport transport;
//   };
//
// The methods do nothing unless you override them. They are callbacks of the loop, one after the
// other: connection_made; then data_received any number of times; eof_received at most once;
// connection_lost once, last.
//
// They may wait, as all callbacks. While data_received() or eof_received() waits, the transport
// reads nothing more, so the peer is slowed down; pause_writing, resume_writing and connection_lost
// come meanwhile. A method that waits is cancelled by the loop's end only.
//
// An exception out of data_received, eof_received, get_buffer or buffer_updated goes to the
// exception handler and aborts the connection. Out of the others it only goes to the handler.

#pragma once

#include <cstddef>
#include <exception>
#include <span>
#include <string_view>

#include "weft/loop/transport.h"

namespace weft::fibers {
class SocketAddress;
}

namespace weft::loop {

class DatagramTransport;
class SubprocessTransport;

// What overrides these takes their arguments over.
// NOLINTBEGIN(performance-unnecessary-value-param)

// A transport holds its protocol by a std::shared_ptr until connection_lost() and every other call
// have returned. (asyncio.BaseProtocol.)
class BaseProtocol {
 public:
  BaseProtocol() = default;
  BaseProtocol(const BaseProtocol&) = delete;
  BaseProtocol& operator=(const BaseProtocol&) = delete;
  virtual ~BaseProtocol() = default;

  // The connection is closed: null if this side closed or aborted it, or the peer has finished; the
  // error otherwise.
  virtual void connection_lost(std::exception_ptr) {}
  // More than the high-water mark is waiting to be sent: called once, by the write() that crosses
  // it, directly. Writing goes on being allowed.
  virtual void pause_writing() {}
  // No more than the low-water mark is left: called once after pause_writing(). What is left is not
  // sent before this has returned.
  virtual void resume_writing() {}
};

// A stream of bytes. (asyncio.Protocol.)
class Protocol : public BaseProtocol {
 public:
  virtual void connection_made(Transport) {}
  // `data` is valid during the call, also while that waits. Never empty.
  virtual void data_received(std::string_view) {}
  // The peer will send no more. Return true to go on writing; false closes the transport.
  virtual bool eof_received() { return false; }
};

// A stream of bytes that is read into memory of yours. (asyncio.BufferedProtocol.)
class BufferedProtocol : public BaseProtocol {
 public:
  virtual void connection_made(Transport) {}
  // Where to put what is read next: not empty, and valid until buffer_updated() is called.
  // `sizehint`: how much would be read at best; 0 if that is not known.
  virtual std::span<std::byte> get_buffer(std::size_t sizehint) = 0;
  // So many bytes have been put there.
  virtual void buffer_updated(std::size_t) {}
  virtual bool eof_received() { return false; }
};

// Datagrams: each comes whole, or not at all. connection_made() comes first, connection_lost()
// last. What the methods throw goes to the exception handler, and the endpoint stays open. Include
// datagram_transport.h. (asyncio.DatagramProtocol.)
class DatagramProtocol : public BaseProtocol {
 public:
  virtual void connection_made(DatagramTransport);
  // `data` may be empty. It is valid during the call, also while that waits. `addr` is empty if the
  // sender has no address, as a Unix socket that is not bound.
  virtual void datagram_received(std::string_view, const fibers::SocketAddress&) {}
  // A datagram could not be sent or received: a std::system_error. That nobody listens where one
  // went (ECONNREFUSED) is known only to an endpoint that has a remote address.
  virtual void error_received(std::exception_ptr) {}
};

// A child process with its pipes. (asyncio.SubprocessProtocol.)
class SubprocessProtocol : public BaseProtocol {
 public:
  virtual void connection_made(SubprocessTransport);
  // The child has written to its descriptor `fd`: 1 or 2. `data` is valid during the call.
  virtual void pipe_data_received(int, std::string_view) {}
  virtual void pipe_connection_lost(int, std::exception_ptr) {}
  virtual void process_exited() {}
};

// NOLINTEND(performance-unnecessary-value-param)

}  // namespace weft::loop
