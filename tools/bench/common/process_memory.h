// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What the system says this process occupies.

#pragma once

#include <cstddef>
#include <fstream>
#include <string>

#include "tools/bench/common/meter.h"

namespace bench {

struct ProcessMemory {
  double resident = 0;     // Bytes: VmRSS.
  double page_tables = 0;  // Bytes: VmPTE; not part of VmRSS.
  double mappings = 0;     // Lines of /proc/self/maps.

  static ProcessMemory now() {
    ProcessMemory memory;
    std::ifstream status("/proc/self/status");
    for (std::string field; status >> field;) {
      if (field == "VmRSS:") memory.resident = kibibytes(status);
      if (field == "VmPTE:") memory.page_tables = kibibytes(status);
    }
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) ++memory.mappings;
    return memory;
  }

 private:
  static double kibibytes(std::ifstream& status) {
    double value = 0;
    status >> value;
    return value * 1024;
  }
};

// Reports the growth since `before`, for each of `tasks`.
inline void report_parked_memory(Meter& meter, const ProcessMemory& before, std::size_t tasks) {
  const ProcessMemory after = ProcessMemory::now();
  const auto count = static_cast<double>(tasks);
  meter.set((after.resident - before.resident) / count, "bytes");
  meter.note("tasks", count);
  meter.note("page_table_bytes", (after.page_tables - before.page_tables) / count);
  meter.note("mappings", after.mappings);
}

}  // namespace bench
