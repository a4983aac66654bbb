// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/instruments.h"

#include <algorithm>
#include <string>
#include <utility>

#include "fibers/core/check.h"
#include "fibers/core/task.h"
#include "fibers/core/text.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"

namespace weft::fibers {
namespace detail {

void Instruments::add(InstrumentRef instrument) {
  WEFT_REQUIRE(instrument.get() != nullptr, "the instrument is a null pointer");
  const auto same = [&](const Entry& entry) { return entry.instrument == instrument.get(); };
  if (std::ranges::any_of(entries_, same)) return;
  entries_.push_back({instrument.get(), instrument.hooks()});
  update();
}

bool Instruments::remove(const Instrument& instrument) {
  const auto found = std::ranges::find_if(
      entries_, [&](const Entry& entry) { return entry.instrument.get() == &instrument; });
  if (found == entries_.end()) return false;
  // Destroyed last: its destructor may add another.
  const std::shared_ptr<Instrument> removed = std::move(found->instrument);
  found->hooks = 0;
  update();
  return true;
}

void Instruments::update() {
  if (calling_ == 0) {
    std::erase_if(entries_, [](const Entry& entry) { return entry.instrument == nullptr; });
  }
  hooks_ = 0;
  for (const Entry& entry : entries_) hooks_ = static_cast<std::uint16_t>(hooks_ | entry.hooks);
}

// Not those that a hook adds: they begin with the next event.
template <class F>
void Instruments::call_each(Hook hook, F&& call_one) {
  struct Calling {
    Instruments& instruments;
    ~Calling() {
      --instruments.calling_;
      instruments.update();
    }
  } const calling{*this};
  ++calling_;
  const std::size_t count = entries_.size();
  for (std::size_t i = 0; i < count; ++i) {
    if ((entries_[i].hooks & hook) == 0) continue;
    const std::shared_ptr<Instrument> instrument = entries_[i].instrument;
    try {
      call_one(*instrument);
    } catch (...) {
      remove(*instrument);
      log(LogLevel::kError, concat({"an instrument threw and has been removed: ",
                                    describe_exception(std::current_exception())}));
    }
  }
}

void Instruments::call(Hook hook, void (Instrument::*method)()) {
  if (want(hook)) call_each(hook, [&](Instrument& i) { (i.*method)(); });
}

void Instruments::call(Hook hook, void (Instrument::*method)(Duration), Duration timeout) {
  if (want(hook)) call_each(hook, [&](Instrument& i) { (i.*method)(timeout); });
}

void Instruments::call(Hook hook, void (Instrument::*method)(Task&), TaskBlock& task) {
  if (want(hook)) call_each(hook, [&](Instrument& i) { (i.*method)(task); });
}

}  // namespace detail
}  // namespace weft::fibers
