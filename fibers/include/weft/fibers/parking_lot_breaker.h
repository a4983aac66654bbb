// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Breaking a parking lot when the task ends that was to let the others go.
//
//   ParkingLot lot;
//   nursery.start_soon([&] {
//     add_parking_lot_breaker(current_task(), lot);
//     Answer answer = find_answer();                  // If this throws, nobody parks for ever.
//     remove_parking_lot_breaker(current_task(), lot);
//     lot.unpark_all();
//   });
//
// (Trio: lowlevel.add_parking_lot_breaker, lowlevel.remove_parking_lot_breaker.)

#pragma once

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

class ParkingLot;
class Task;

// Calls lot.break_lot(task) when `task`, which is alive, ends. The same pair may be added several
// times, and a lot that is broken already too: the task is then noted as another that broke it.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
void add_parking_lot_breaker(Task& task, ParkingLot& lot);

// Takes back one such call. Throws UsageError if there has been none.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
void remove_parking_lot_breaker(Task& task, ParkingLot& lot);

}  // namespace weft::fibers
