// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Subject "weft".

#include <vector>

#include "tools/bench/common/meter.h"
#include "tools/bench/weft/works.h"

namespace {

using bench::Meter;

template <void (*kScaling)(std::size_t, Meter&), std::size_t kCount>
void with(Meter& meter) {
  kScaling(kCount, meter);
}

const std::vector<bench::Work> kScalingWorks = {
    {"scaling/tasks/10", &with<&bench::scaling_tasks, 10>},
    {"scaling/tasks/100", &with<&bench::scaling_tasks, 100>},
    {"scaling/tasks/1000", &with<&bench::scaling_tasks, 1'000>},
    {"scaling/tasks/10000", &with<&bench::scaling_tasks, 10'000>},
    {"scaling/tasks/100000", &with<&bench::scaling_tasks, 100'000>},
    {"scaling/tasks/1000000", &with<&bench::scaling_tasks, 1'000'000>},
    {"scaling/timers/10", &with<&bench::scaling_timers, 10>},
    {"scaling/timers/100", &with<&bench::scaling_timers, 100>},
    {"scaling/timers/1000", &with<&bench::scaling_timers, 1'000>},
    {"scaling/timers/10000", &with<&bench::scaling_timers, 10'000>},
    {"scaling/timers/100000", &with<&bench::scaling_timers, 100'000>},
    {"scaling/timers/1000000", &with<&bench::scaling_timers, 1'000'000>},
    {"scaling/descriptors/10", &with<&bench::scaling_descriptors, 10>},
    {"scaling/descriptors/100", &with<&bench::scaling_descriptors, 100>},
    {"scaling/descriptors/1000", &with<&bench::scaling_descriptors, 1'000>},
    {"scaling/descriptors/10000", &with<&bench::scaling_descriptors, 10'000>},
    {"scaling/descriptors/100000", &with<&bench::scaling_descriptors, 100'000>},
    {"scaling/descriptors/1000000", &with<&bench::scaling_descriptors, 1'000'000>}};

const std::vector<bench::Work> kDescriptorWorks = {
    {"tcp_echo/1", &bench::tcp_echo},
    {"tcp_echo/100", &bench::tcp_echo},
    {"tcp_echo/1000", &bench::tcp_echo},
    {"protocol_echo/1", &bench::protocol_echo},
    {"protocol_echo/100", &bench::protocol_echo},
    {"protocol_echo/1000", &bench::protocol_echo},
    {"buffered_echo/100", &bench::protocol_echo_buffered},
    {"reader_echo/100", &bench::reader_echo},
    {"arm_writer/owned", &bench::arm_writer_owned},
    {"arm_writer/loop", &bench::arm_writer_loop},
    {"datagram_echo/100", &bench::datagram_echo},
    {"stream_echo/1", &bench::stream_echo},
    {"stream_echo/100", &bench::stream_echo},
    {"stream_echo/1000", &bench::stream_echo},
#ifdef WEFT_BENCH_TLS
    {"tls_echo/100", &bench::tls_echo},
#endif
};

const std::vector<bench::Work> kAsioWorks = {
#ifdef WEFT_BENCH_ASIO
    {"use_fiber/post", &bench::use_fiber_post},
    {"use_fiber/read", &bench::use_fiber_read},
    {"asio_await", &bench::asio_await},
    {"trio_as_asio", &bench::trio_as_asio},
    {"asio_echo/1", &bench::asio_echo},
    {"asio_echo/100", &bench::asio_echo},
    {"websocket_echo/100", &bench::websocket_echo},
    {"http_hello/100", &bench::http_hello},
#endif
};

std::vector<bench::Work> with_others(std::vector<bench::Work> works) {
  works.insert(works.end(), kDescriptorWorks.begin(), kDescriptorWorks.end());
  works.insert(works.end(), kAsioWorks.begin(), kAsioWorks.end());
  works.insert(works.end(), kScalingWorks.begin(), kScalingWorks.end());
  return works;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::subject_main(
      "weft",
      with_others({{"yield/2", &bench::yield_2},
                   {"yield/100", &bench::yield_100},
                   {"yield/10000", &bench::yield_10000},
                   {"spawn_join", &bench::spawn_join},
                   {"spawn_join/100", &bench::spawn_join_100},
                   {"channel_rendezvous", &bench::channel_rendezvous},
                   {"greenlet_switch", &bench::greenlet_switch},
                   {"scope_deadline/1", &bench::scope_deadline_1},
                   {"scope_deadline/1000000", &bench::scope_deadline_1000000},
                   {"sleep/100", &bench::sleep_100},
                   {"call_soon", &bench::call_soon_100},
                   {"call_soon/1", &bench::call_soon_1},
                   {"await_future", &bench::await_future},
                   {"callback_chain", &bench::callback_chain},
                   {"future_chain", &bench::future_chain},
                   {"gather/1000", &bench::gather_1000},
                   {"queue", &bench::queue},
                   {"timer_churn/1000000",
                    [](bench::Meter& meter) { bench::timer_churn(1'000'000, meter); }},
                   {"task_switch/coroutine", &bench::task_switch_coroutine},
                   {"task_switch/stack", &bench::task_switch_stack},
                   {"coroutine_call", &bench::coroutine_call},
                   {"task_spawn/coroutine", &bench::task_spawn_coroutine},
                   {"blocking_callback", &bench::blocking_callback},
                   {"trio_as_aio", &bench::trio_as_aio},
                   {"aio_as_trio", &bench::aio_as_trio},
                   {"aio_as_trio/coroutine", &bench::aio_as_trio_coroutine},
                   {"wait_for_callback", &bench::wait_for_callback},
                   {"open_loop", &bench::open_loop},
                   {"sync_loop", &bench::sync_loop},
                   {"awaitable_as_trio", &bench::awaitable_as_trio},
                   {"trio_as_awaitable", &bench::trio_as_awaitable},
                   {"trio_as_awaitable/Coro", &bench::trio_as_awaitable_coro},
#ifdef WEFT_BENCH_BOOST_FIBER
                   {"boost_fiber_as_trio", &bench::boost_fiber_as_trio},
                   {"trio_as_boost_fiber", &bench::trio_as_boost_fiber},
#endif
                   {"nursery_open_close", &bench::nursery_open_close},
                   {"event_wake", &bench::event_wake},
                   {"lock_uncontended", &bench::lock_uncontended},
                   {"to_thread", &bench::to_thread},
                   {"cancel_parked/10000", &bench::cancel_parked},
                   {"parked_memory/1000000", &bench::parked_memory},
                   {"subprocess_spawn", &bench::subprocess_spawn},
#ifdef WEFT_BENCH_CURL
                   {"curl_get/64", &bench::curl_get_64},
#endif
                   {"allocations/yield", &bench::allocations_yield},
                   {"allocations/sleep", &bench::allocations_sleep},
                   {"allocations/channel", &bench::allocations_channel},
                   {"allocations/call_soon", &bench::allocations_call_soon},
                   {"allocations/wait_for_callback", &bench::allocations_wait_for_callback},
                   {"allocations/aio_as_trio", &bench::allocations_aio_as_trio},
                   {"allocations/spawn", &bench::allocations_spawn}}),
      argc, argv);
}
