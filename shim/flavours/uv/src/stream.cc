// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/uv/stream.h"

#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "shim/flavours/uv/src/handle_state.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/uv/request.h"

namespace weft::uv {

namespace {

using detail::HandleState;
using detail::InUse;
using detail::Reader;

uv_stream_t* stream_of(const HandleState& state) {
  return reinterpret_cast<uv_stream_t*>(state.handle);
}

HandleState& state_of(const uv_stream_t* stream) {
  return detail::state_of(reinterpret_cast<const uv_handle_t*>(stream));
}

void require_open(const HandleState& state) {
  if (state.closing) throw fibers::ClosedResourceError("a handle of libuv's was closed");
}

// uv_buf_init takes an unsigned, too little for 4 GiB.
uv_buf_t buffer_of(char* base, std::size_t size) {
  uv_buf_t buffer = uv_buf_init(base, 0);
  buffer.len = size;
  return buffer;
}

void give_buffer(uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
  const Reader* const reader = detail::state_of(handle).reader;
  *buffer = reader == nullptr ? uv_buf_init(nullptr, 0)
                              : buffer_of(reader->buffer.data(), reader->buffer.size());
}

void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t*) {
  if (count == 0) return;  // EAGAIN.
  uv_read_stop(stream);
  Reader* const reader = std::exchange(state_of(stream).reader, nullptr);
  if (reader == nullptr) return;
  if (count > 0 || count == UV_EOF) {
    reader->done(count > 0 ? static_cast<std::size_t>(count) : 0);
  } else {
    reader->done.fail(
        detail::error_of([&] { throw Error(static_cast<int>(count), "uv_read_start"); }));
  }
}

void on_connection(uv_stream_t* server, int status) {
  HandleState& state = state_of(server);
  if (status < 0) {
    state.listen_error = status;
  } else {
    ++state.connections;
  }
  state.acceptors.unpark();
}

}  // namespace

void connect(Handle<uv_tcp_t>& tcp, const sockaddr* address) {
  const InUse use(tcp);
  uv_connect_t request;
  await(
      request,
      [&](uv_connect_t* r, uv_connect_cb done) {
        require_open(use.state());
        return uv_tcp_connect(r, tcp.get(), address, done);
      },
      [&] { detail::close(use.state()); });
}

void connect(Handle<uv_pipe_t>& pipe, const char* name) {
  const InUse use(pipe);
  uv_connect_t request;
  await(
      request,
      [&](uv_connect_t* r, uv_connect_cb done) {
        require_open(use.state());
        uv_pipe_connect(r, pipe.get(), name, done);
        return 0;
      },
      [&] { detail::close(use.state()); });
}

void write(StreamHandle& stream, std::string_view bytes) {
  const InUse use(stream);
  uv_write_t request;
  // libuv only reads it.
  const uv_buf_t buffer = buffer_of(const_cast<char*>(bytes.data()), bytes.size());
  await(
      request,
      [&](uv_write_t* r, uv_write_cb done) {
        require_open(use.state());
        return uv_write(r, stream_of(use.state()), &buffer, 1, done);
      },
      [&] { detail::close(use.state()); });
}

void shutdown(StreamHandle& stream) {
  const InUse use(stream);
  uv_shutdown_t request;
  await(
      request,
      [&](uv_shutdown_t* r, uv_shutdown_cb done) {
        require_open(use.state());
        return uv_shutdown(r, stream_of(use.state()), done);
      },
      [&] { detail::close(use.state()); });
}

std::size_t read_some(StreamHandle& stream, std::span<char> buffer) {
  const InUse use(stream);
  fibers::checkpoint_if_cancelled();
  HandleState& state = use.state();
  require_open(state);
  if (buffer.empty())
    throw fibers::UsageError("read_some() was given no room; 0 is what it returns at the end");
  if (state.reader != nullptr)
    throw fibers::BusyResourceError("another task is reading from this stream of libuv's");
  std::optional<Reader> reader;
  const absl::Cleanup gone = [&] {
    if (state.reader == &*reader) state.reader = nullptr;
  };
  return shim::wait_for_callback<std::size_t>(
      [&](shim::Completion<std::size_t> done) {
        reader.emplace(Reader{buffer, std::move(done)});
        check(uv_read_start(stream_of(state), &give_buffer, &on_read), "uv_read_start");
        state.reader = &*reader;
        detail::started();
      },
      [&] {
        uv_read_stop(stream_of(state));
        return shim::CancelResult::kDone;
      });
}

void listen(StreamHandle& server, int backlog) {
  HandleState& state = HandleAccess::state(server);
  require_open(state);
  check(uv_listen(stream_of(state), backlog, &on_connection), "uv_listen");
  state.listens = true;
  detail::started();
}

void accept(StreamHandle& server, StreamHandle& client) {
  const InUse use(server);
  const InUse use_of_client(client);
  HandleState& state = use.state();
  HandleState& into = use_of_client.state();
  fibers::checkpoint();
  require_open(state);
  require_open(into);
  if (!state.listens)
    throw fibers::UsageError(
        "accept() waits for connections to a stream that listens; call listen() first");
  if (into.accepts_from != nullptr)
    throw fibers::BusyResourceError("another task is accepting into this stream of libuv's");
  into.accepts_from = &state;
  const absl::Cleanup accepted = [&] { into.accepts_from = nullptr; };
  while (state.connections == 0 && !into.closing) {
    if (state.listen_error != 0) throw Error(std::exchange(state.listen_error, 0), "uv_listen");
    state.acceptors.park({.what = "a connection of libuv's", .on = &state});
    require_open(state);
  }
  require_open(into);
  --state.connections;
  check(uv_accept(stream_of(state), stream_of(into)), "uv_accept");
  detail::started();
}

}  // namespace weft::uv
