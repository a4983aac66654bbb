// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How the owner of a loop ends what lives in it: tasks that are not done, callbacks that are
// blocked, servers and transports. Not for use outside weft.
//
// It goes in rounds. A round cancels, once, whoever lives at that moment. They may clean up, and
// may start others for that, whom nobody cancels meanwhile. When all of the round have ended, those
// who live then are the next one.
//
//   while (any_living(core)) {
//     cancel_living(core);
//     wait_for_cancelled(core);
//   }

#pragma once

#include "weft/loop/detail/loop_object.h"

namespace weft::loop::detail {

class LoopCore;

// Begins a round, also if the last one is not over: then its members are cancelled once more. The
// tasks of generators are none: see shutdown_asyncgens(). Throws std::bad_alloc if somebody could
// not be cancelled for lack of memory, who is then not of the round.
void cancel_living(LoopCore& core);
// Waits until every member of the round has ended.
//
// Blocks: yes, unless there is none.
// Cancel: at once.
// Threads: the run's own only.
void wait_for_cancelled(LoopCore& core);
bool any_living(const LoopCore& core) noexcept;

// Closes the servers, which accept nothing from now on; or aborts the transports, whose
// connection_lost() is scheduled.
void wind_up(LoopCore& core, WindUp stage);

}  // namespace weft::loop::detail
