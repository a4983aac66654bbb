// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a greenlet is made of, and what a thread knows of its greenlets.

#pragma once

#include <any>
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>

#include "fibers/core/context.h"
#include "fibers/core/stack.h"
#include "fibers/core/task_locals.h"
#include "weft/fibers/greenlet.h"

namespace weft::fibers::detail {

class Scheduler;
struct GreenletBlock;

// The context variables of one greenlet, or of several.
struct ContextCell {
  ContextCell() = default;
  ContextCell(const ContextCell&) = delete;
  ContextCell& operator=(const ContextCell&) = delete;
  ~ContextCell() { release_locals(locals); }
  TaskLocals* locals = nullptr;  // Counted.
};

// What other threads may ask of a thread's greenlets. Outlives the thread; its address is the
// thread's name, for that of a GreenletThread may be used again.
struct GreenletLink {
  std::atomic<GreenletBlock*> current{nullptr};
  std::atomic<bool> any_dropped{false};
  std::mutex mutex;
  bool exited = false;  // Guarded by the mutex.
  // Guarded: a list of those of which the last reference is to be dropped here, in order. Adding
  // needs no memory, for a destructor does it.
  GreenletBlock* dropped = nullptr;
  GreenletBlock** dropped_end = &dropped;
};

enum class GreenletState : std::uint8_t { kPending, kStarted, kDead };

struct GreenletBlock {
  // --- Touched by every switch. ---
  Context context;                 // Where it is suspended: on its stack, or on that of a task.
  Scheduler* scheduler = nullptr;  // Of the run it was suspended in.
  std::shared_ptr<GreenletLink> link;
  // Written by its own thread.
  std::atomic<GreenletState> state{GreenletState::kPending};
  // How many Greenlet objects there are. None, and suspended: it is killed.
  std::atomic<std::uint32_t> handles{0};

  // --- Life. ---
  // The memory: one for the handles together, one of each child, one while listed.
  std::atomic<std::uint32_t> uses{0};
  bool listed = false;     // Among the thread's started ones.
  bool condemned = false;  // Has swallowed a GreenletExit when it was dropped.
  bool keeps_parent = false;
  GreenletBlock* parent = nullptr;
  GreenletBlock* next = nullptr;
  GreenletBlock* next_dropped = nullptr;  // In its link's list.
  GreenletBlock* previous = nullptr;

  Stack stack;
  std::size_t stack_size = 0;
  Greenlet::Function run;
  std::shared_ptr<ContextCell> locals;

  GreenletBlock() = default;
  GreenletBlock(const GreenletBlock&) = delete;
  GreenletBlock& operator=(const GreenletBlock&) = delete;
  ~GreenletBlock() = default;

  bool is(GreenletState s) const { return state.load(std::memory_order_relaxed) == s; }
  bool is_main() const { return parent == nullptr; }

  void retain() noexcept;   // A handle.
  void release() noexcept;  // A handle. May switch, to have it unwound.
  void use() noexcept { uses.fetch_add(1, std::memory_order_relaxed); }
  void unuse() noexcept;
  // `kept`: a handle, otherwise a use.
  void set_parent(GreenletBlock* to, bool kept) noexcept;

  // Its handle is the caller's then.
  static GreenletBlock* detach(Greenlet& greenlet) {
    return std::exchange(greenlet.block_, nullptr);
  }
  static Greenlet handle(GreenletBlock& block) { return Greenlet(&block); }
};

// What a switch carries.
struct Transfer {
  std::any value;
  std::exception_ptr error;
};

struct GreenletThread {
  std::shared_ptr<GreenletLink> link;
  GreenletBlock* main = nullptr;
  GreenletBlock* origin = nullptr;  // Who has switched last: whoever arrives looks after it.
  Transfer transfer;
  GreenletBlock* dropped_on_arrival = nullptr;  // A handle.
  std::shared_ptr<GreenletTracer> tracer;
  ExceptionState* exceptions = nullptr;
  StackPool* stacks = nullptr;
  GreenletBlock* started = nullptr;  // Started and not dead, the main one left out.
  std::uint32_t colour = 0;
  Context grave;  // Where dead ones jump from.
  void* dead_tsan_fiber = nullptr;

  GreenletBlock* current() const { return link->current.load(std::memory_order_relaxed); }
};

// This thread's, or null if it has not used any yet.
extern constinit thread_local GreenletThread* tls_greenlets;
// This thread's.
GreenletThread& greenlet_thread();

// --- greenlet.cc ---
// `handle`: one of `to` that is to be dropped as soon as that has been arrived at.
std::any switch_greenlet(GreenletBlock& to, Transfer transfer, Greenlet* handle = nullptr);
// A GreenletExit, also one that nurseries have wrapped on its way, becomes a value.
void exit_becomes_value(Transfer& transfer);

// --- greenlet_thread.cc ---
// Throws GreenletExit into a suspended one that nobody refers to any more.
void kill_greenlet(GreenletThread& thread, GreenletBlock& block) noexcept;
// Drops what other threads have dropped.
void take_dropped(GreenletThread& thread) noexcept;
void list_started(GreenletThread& thread, GreenletBlock& block) noexcept;
void unlist(GreenletThread& thread, GreenletBlock& block) noexcept;

// Where context variables are kept outside runs.
TaskLocals*& greenlet_locals();
const TaskLocals* greenlet_locals_if_any();

// As describe_thread_stack(), but of the stack this is called on.
void describe_own_stack(Context& own);

}  // namespace weft::fibers::detail
