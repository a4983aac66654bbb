// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Cancelled first: streams, sockets, processes and files.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/cancelled_first.h"
#include "tests/support/temporary_directory.h"
#include "weft/fibers/buffered_receive_stream.h"
#include "weft/fibers/fd_stream.h"
#include "weft/fibers/file.h"
#include "weft/fibers/io.h"
#include "weft/fibers/owned_fd.h"
#include "weft/fibers/path.h"
#include "weft/fibers/process.h"
#include "weft/fibers/run_process.h"
#include "weft/fibers/socket.h"
#include "weft/fibers/socket/getaddrinfo.h"
#include "weft/fibers/socket/socket_type.h"
#include "weft/fibers/socket_address.h"
#include "weft/fibers/stapled_stream.h"
#include "weft/fibers/tcp.h"
#include "weft/fibers/testing/check_streams.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/lockstep_stream.h"
#include "weft/fibers/testing/memory_stream.h"
#include "weft/fibers/testing/open_stream_to_socket_listener.h"
#include "weft/fibers/unix_socket.h"

namespace weft::fibers {
namespace {

using test::cancelled_first;
using test::says_cancelled;

FIBER_TEST(CancelledFirstTest, AClosedSocketStream) {
  auto [stream, peer] = socket_stream_pair();
  stream.close();
  cancelled_first("fibers/socket.h send_all", [&, &s = stream] { s.send_all("x"); });
  cancelled_first("fibers/socket.h wait_send_all_might_not_block",
                  [&, &s = stream] { s.wait_send_all_might_not_block(); });
  cancelled_first("fibers/socket.h send_eof", [&, &s = stream] { s.send_eof(); });
  cancelled_first("fibers/socket.h receive_some", [&, &s = stream] { s.receive_some(); });
  says_cancelled("fibers/socket.h aclose", [&, &s = stream] { s.aclose(); });
  Stream& any = stream;
  cancelled_first("fibers/stream.h send_all", [&] { any.send_all("x"); });
  cancelled_first("fibers/stream.h receive_some", [&] { any.receive_some(1); });
}

FIBER_TEST(CancelledFirstTest, NoRoomToReceiveInto) {
  const std::span<std::byte> nothing;
  auto [stream, peer] = socket_stream_pair();
  cancelled_first("fibers/socket.h receive_some", [&, &s = stream] { s.receive_some(nothing); });
  auto [receive_fd, send_fd] = open_pipe();
  cancelled_first("fibers/fd_stream.h receive_some",
                  [&, &s = receive_fd] { s.receive_some(nothing); });
  testing::MemoryReceiveStream memory;
  cancelled_first("fibers/testing/memory_stream.h receive_some",
                  [&] { memory.receive_some(nothing); });
  BufferedReceiveStream buffered(memory);
  cancelled_first("fibers/buffered_receive_stream.h receive_some",
                  [&] { buffered.receive_some(nothing); });
}

FIBER_TEST(CancelledFirstTest, ADescriptorForTheOtherDirectionOrClosed) {
  auto [send, receive] = open_pipe();
  cancelled_first("fibers/fd_stream.h receive_some", [&, &s = send] { s.receive_some(); });
  cancelled_first("fibers/fd_stream.h send_all", [&, &s = receive] { s.send_all("x"); });
  send.close();
  cancelled_first("fibers/fd_stream.h send_all", [&, &s = send] { s.send_all("x"); });
  cancelled_first("fibers/fd_stream.h wait_send_all_might_not_block",
                  [&, &s = send] { s.wait_send_all_might_not_block(); });
  says_cancelled("fibers/fd_stream.h aclose", [&, &s = send] { s.aclose(); });
  OwnedFd none;
  cancelled_first("fibers/owned_fd.h wait_readable", [&] { none.wait_readable(); });
  cancelled_first("fibers/owned_fd.h wait_writable", [&] { none.wait_writable(); });
  cancelled_first("fibers/io.h wait_readable", [] { wait_readable(-1); });
  cancelled_first("fibers/io.h wait_writable", [] { wait_writable(-1); });
  cancelled_first("fibers/io.h wait_readable_or_writable", [] { wait_readable_or_writable(-1); });
}

FIBER_TEST(CancelledFirstTest, AClosedMemoryStream) {
  testing::MemorySendStream send;
  testing::MemoryReceiveStream receive;
  send.close();
  receive.close();
  cancelled_first("fibers/testing/memory_stream.h send_all", [&] { send.send_all("x"); });
  cancelled_first("fibers/testing/memory_stream.h wait_send_all_might_not_block",
                  [&] { send.wait_send_all_might_not_block(); });
  says_cancelled("fibers/testing/memory_stream.h get_data", [&] { send.get_data(); });
  cancelled_first("fibers/testing/memory_stream.h receive_some", [&] { receive.receive_some(1); });
  says_cancelled("fibers/testing/memory_stream.h aclose", [&] { receive.aclose(); });
}

FIBER_TEST(CancelledFirstTest, AClosedLockstepStream) {
  auto [send, receive] = testing::lockstep_stream_one_way_pair();
  send.close();
  receive.close();
  cancelled_first("fibers/testing/lockstep_stream.h send_all", [&, &s = send] { s.send_all("x"); });
  cancelled_first("fibers/testing/lockstep_stream.h wait_send_all_might_not_block",
                  [&, &s = send] { s.wait_send_all_might_not_block(); });
  cancelled_first("fibers/testing/lockstep_stream.h receive_some",
                  [&, &s = receive] { s.receive_some(1); });
  says_cancelled("fibers/testing/lockstep_stream.h aclose", [&, &s = send] { s.aclose(); });
}

FIBER_TEST(CancelledFirstTest, AClosedStapledStream) {
  StapledStream stream{testing::MemorySendStream(), testing::MemoryReceiveStream()};
  stream.close();
  cancelled_first("fibers/stapled_stream.h send_all", [&] { stream.send_all("x"); });
  cancelled_first("fibers/stapled_stream.h wait_send_all_might_not_block",
                  [&] { stream.wait_send_all_might_not_block(); });
  cancelled_first("fibers/stapled_stream.h receive_some", [&] { stream.receive_some(); });
  says_cancelled("fibers/stapled_stream.h send_eof", [&] { stream.send_eof(); });
  says_cancelled("fibers/stapled_stream.h aclose", [&] { stream.aclose(); });
}

FIBER_TEST(CancelledFirstTest, AClosedBufferedStream) {
  testing::MemoryReceiveStream memory;
  BufferedReceiveStream stream(memory);
  stream.aclose();
  cancelled_first("fibers/buffered_receive_stream.h receive_exactly",
                  [&] { stream.receive_exactly(1); });
  cancelled_first("fibers/buffered_receive_stream.h receive_until",
                  [&] { stream.receive_until("x", 2); });
  cancelled_first("fibers/buffered_receive_stream.h receive_line", [&] { stream.receive_line(); });
  cancelled_first("fibers/buffered_receive_stream.h receive_some", [&] { stream.receive_some(); });
  says_cancelled("fibers/buffered_receive_stream.h aclose", [&] { stream.aclose(); });
}

FIBER_TEST(CancelledFirstTest, TheRulesOfStreams) {
  const auto one_way = [] { return testing::memory_stream_one_way_pair(); };
  says_cancelled("fibers/testing/check_streams.h check_one_way_stream",
                 [&] { testing::check_one_way_stream(one_way); });
  says_cancelled("fibers/testing/check_streams.h check_two_way_stream",
                 [] { testing::check_two_way_stream(&testing::memory_stream_pair); });
  says_cancelled("fibers/testing/check_streams.h check_half_closeable_stream",
                 [] { testing::check_half_closeable_stream(&testing::lockstep_stream_pair); });
}

FIBER_TEST(CancelledFirstTest, AClosedListener) {
  SocketListener listener = std::move(open_tcp_listeners(0, {.host = "127.0.0.1"}).front());
  says_cancelled("fibers/testing/open_stream_to_socket_listener.h open_stream_to_socket_listener",
                 [&] { testing::open_stream_to_socket_listener(listener); });
  listener.close();
  cancelled_first("fibers/socket.h accept", [&] { listener.accept(); });
  cancelled_first("fibers/tcp.h serve_listeners",
                  [] { serve_listeners([](SocketStream&) {}, std::vector<SocketListener>()); });
  says_cancelled("fibers/socket.h aclose", [&] { listener.aclose(); });
}

FIBER_TEST(CancelledFirstTest, ConnectionsAndListenersWithBadArguments) {
  cancelled_first("fibers/tcp.h open_tcp_stream", [] {
    open_tcp_stream("127.0.0.1", 1, {.happy_eyeballs_delay = std::chrono::seconds(-1)});
  });
  cancelled_first("fibers/tcp.h open_tcp_listeners", [] { open_tcp_listeners(0, {.backlog = 0}); });
  cancelled_first("fibers/tcp.h serve_tcp",
                  [] { serve_tcp([](SocketStream&) {}, 0, {.backlog = 0}); });
  cancelled_first("fibers/unix_socket.h open_unix_socket", [] { open_unix_socket(""); });
  cancelled_first("fibers/unix_socket.h open_unix_listeners",
                  [] { open_unix_listeners("x", {.backlog = 0}); });
  cancelled_first("fibers/unix_socket.h serve_unix",
                  [] { serve_unix([](SocketStream&) {}, "x", {.backlog = 0}); });
}

FIBER_TEST(CancelledFirstTest, NamesThatAreEmpty) {
  cancelled_first("fibers/socket_address.h resolve", [] { resolve("", 1); });
  says_cancelled("fibers/socket_address.h resolve_for_listening",
                 [] { resolve_for_listening("", 1); });
  const std::string broken("a\0b", 3);
  cancelled_first("fibers/socket/getaddrinfo.h getaddrinfo",
                  [&] { socket::getaddrinfo(broken, "1"); });
  cancelled_first("fibers/socket/getaddrinfo.h getnameinfo",
                  [] { socket::getnameinfo(SocketAddress()); });
  cancelled_first("fibers/socket/getaddrinfo.h getprotobyname",
                  [&] { socket::getprotobyname(broken); });
}

FIBER_TEST(CancelledFirstTest, AClosedSocket) {
  socket::SocketType closed = socket::socket(AF_INET, SOCK_STREAM);
  closed.close();
  std::array<std::byte, 4> room;
  const std::array<std::span<std::byte>, 1> rooms{room};
  const SocketAddress nowhere = resolve("127.0.0.1", 1).front();
  const auto row = [&](const char* name, auto&& call) { cancelled_first(name, call); };
  row("fibers/socket/socket_type.h accept", [&] { closed.accept(); });
  row("fibers/socket/socket_type.h connect", [&] { closed.connect(nowhere); });
  row("fibers/socket/socket_type.h connect", [&] { closed.connect("127.0.0.1", 1); });
  row("fibers/socket/socket_type.h bind", [&] { closed.bind("127.0.0.1", 1); });
  row("fibers/socket/socket_type.h recv", [&] { closed.recv(1); });
  row("fibers/socket/socket_type.h recv_into", [&] { closed.recv_into(room); });
  row("fibers/socket/socket_type.h recvfrom", [&] { closed.recvfrom(1); });
  row("fibers/socket/socket_type.h recvfrom_into", [&] { closed.recvfrom_into(room); });
  row("fibers/socket/socket_type.h recvmsg", [&] { closed.recvmsg(1); });
  row("fibers/socket/socket_type.h recvmsg_into", [&] { closed.recvmsg_into(rooms); });
  row("fibers/socket/socket_type.h send", [&] { closed.send("x"); });
  row("fibers/socket/socket_type.h sendto", [&] { closed.sendto("x", nowhere); });
  row("fibers/socket/socket_type.h sendto", [&] { closed.sendto("x", "127.0.0.1", 1); });
  row("fibers/socket/socket_type.h sendmsg", [&] { closed.sendmsg({}); });
  row("fibers/socket/socket_type.h wait_writable", [&] { closed.wait_writable(); });
}

FIBER_TEST(CancelledFirstTest, ProgramsThatDoNotExist) {
  const std::vector<std::string> nothing{"/nonexistent/program"};
  cancelled_first("fibers/process.h open_process", [&] { open_process(nothing); });
  cancelled_first("fibers/run_process.h run_process", [&] { run_process(nothing); });
  cancelled_first("fibers/run_process.h run_process", [] { run_process({}); });
  const auto ended = open_process({"true"});
  ended->wait();
  says_cancelled("fibers/process.h wait", [&] { ended->wait(); });
}

FIBER_TEST(CancelledFirstTest, AClosedFile) {
  cancelled_first("fibers/file.h open_file", [] { open_file("/nonexistent/file"); });
  cancelled_first("fibers/file.h open_file", [] { open_file("/dev/null", "no mode"); });
  File file = open_file("/dev/null", "w+");
  file.aclose();
  std::array<std::byte, 4> room;
  const auto row = [&](const char* name, auto&& call) { cancelled_first(name, call); };
  row("fibers/file.h read", [&] { file.read(); });
  row("fibers/file.h readinto", [&] { file.readinto(room); });
  row("fibers/file.h readline", [&] { file.readline(); });
  row("fibers/file.h readlines", [&] { file.readlines(); });
  row("fibers/file.h next", [&] { file.next(); });
  row("fibers/file.h write", [&] { file.write("x"); });
  row("fibers/file.h flush", [&] { file.flush(); });
  row("fibers/file.h seek", [&] { file.seek(0); });
  row("fibers/file.h tell", [&] { file.tell(); });
  row("fibers/file.h truncate", [&] { file.truncate(); });
  says_cancelled("fibers/file.h aclose", [&] { file.aclose(); });
}

FIBER_TEST(CancelledFirstTest, PathsThatDoNotExist) {
  const Path none("/nonexistent/file");
  const auto row = [&](const char* name, auto&& call) { cancelled_first(name, call); };
  row("fibers/path.h read_text", [&] { none.read_text(); });
  row("fibers/path.h read_bytes", [&] { none.read_bytes(); });
  row("fibers/path.h write_text", [&] { none.write_text("x"); });
  row("fibers/path.h write_bytes", [&] { none.write_bytes({}); });
  row("fibers/path.h open", [&] { none.open(); });
  row("fibers/path.h samefile", [&] { none.samefile("/"); });
  row("fibers/path.h stat", [&] { none.stat(); });
  row("fibers/path.h lstat", [&] { none.lstat(); });
  row("fibers/path.h owner", [&] { none.owner(); });
  row("fibers/path.h group", [&] { none.group(); });
  row("fibers/path.h iterdir", [&] { none.iterdir(); });
  row("fibers/path.h mkdir", [&] { none.mkdir(); });
  row("fibers/path.h rmdir", [&] { none.rmdir(); });
  row("fibers/path.h touch", [&] { none.touch(); });
  row("fibers/path.h chmod", [&] { none.chmod(0); });
  row("fibers/path.h unlink", [&] { none.unlink(); });
  row("fibers/path.h readlink", [&] { none.readlink(); });
  row("fibers/path.h resolve", [&] { none.resolve(true); });
  row("fibers/path.h glob", [&] { none.glob(""); });
  row("fibers/path.h expanduser", [] { Path("~nobody-of-this-name/x").expanduser(); });
}

FIBER_TEST(CancelledFirstTest, QuestionsOfPaths) {
  const Path root("/");
  says_cancelled("fibers/path.h exists", [&] { return root.exists(); });
  says_cancelled("fibers/path.h is_file", [&] { return root.is_file(); });
  says_cancelled("fibers/path.h is_dir", [&] { return root.is_dir(); });
  says_cancelled("fibers/path.h is_symlink", [&] { return root.is_symlink(); });
  says_cancelled("fibers/path.h is_socket", [&] { return root.is_socket(); });
  says_cancelled("fibers/path.h is_fifo", [&] { return root.is_fifo(); });
  says_cancelled("fibers/path.h is_block_device", [&] { return root.is_block_device(); });
  says_cancelled("fibers/path.h is_char_device", [&] { return root.is_char_device(); });
  says_cancelled("fibers/path.h is_mount", [&] { return root.is_mount(); });
  says_cancelled("fibers/path.h rglob", [] { return Path("/nonexistent").rglob("x"); });
  says_cancelled("fibers/path.h absolute", [&] { return root.absolute(); });
}

}  // namespace
}  // namespace weft::fibers
