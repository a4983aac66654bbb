// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Subject "weft".

#include "tools/bench/common/meter.h"
#include "tools/bench/weft/works.h"

int main(int argc, char** argv) {
  return bench::subject_main("weft",
                             {{"yield/2", &bench::yield_2},
                              {"yield/100", &bench::yield_100},
                              {"yield/10000", &bench::yield_10000},
                              {"spawn_join", &bench::spawn_join},
                              {"spawn_join/100", &bench::spawn_join_100},
                              {"channel_rendezvous", &bench::channel_rendezvous},
                              {"scope_deadline/1", &bench::scope_deadline_1},
                              {"scope_deadline/1000000", &bench::scope_deadline_1000000},
                              {"call_soon", &bench::call_soon_100},
                              {"call_soon/1", &bench::call_soon_1},
                              {"await_future", &bench::await_future},
                              {"blocking_callback", &bench::blocking_callback},
                              {"trio_as_aio", &bench::trio_as_aio},
                              {"cancel_parked/10000", &bench::cancel_parked},
                              {"parked_memory/1000000", &bench::parked_memory},
                              {"allocations/yield", &bench::allocations_yield},
                              {"allocations/sleep", &bench::allocations_sleep},
                              {"allocations/channel", &bench::allocations_channel},
                              {"allocations/call_soon", &bench::allocations_call_soon},
                              {"allocations/spawn", &bench::allocations_spawn}},
                             argc, argv);
}
