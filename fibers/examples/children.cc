// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Children: one that is fed and listened to, one that fails, and one that hangs and is ended in
// time. Then what they left behind is read from a file.
//
// Prints:
//   sorted: apple banana cherry
//   the command 'grep lemon' exited with 1
//   gave up on the third
//   noted: done

#include <chrono>
#include <iostream>
#include <string>

#include "weft/fibers/main.h"
#include "weft/fibers/path.h"
#include "weft/fibers/run_process.h"
#include "weft/fibers/timeouts.h"

using namespace std::chrono_literals;
namespace trio = weft::fibers;

void sort_fruit() {
  const auto result =
      trio::run_process({"sort"}, {.stdin = "cherry\napple\nbanana\n", .capture_stdout = true});
  std::cout << "sorted:";
  std::string word;
  for (const char c : *result.stdout) {
    if (c != '\n') {
      word += c;
      continue;
    }
    std::cout << ' ' << word;
    word.clear();
  }
  std::cout << '\n';
}

int main() {
  return trio::main([] {
    sort_fruit();
    try {
      trio::run_process({"grep", "lemon"}, {.stdin = "apple\n"});
    } catch (const trio::CalledProcessError& error) {
      std::cout << error.what() << '\n';
    }
    // SIGTERM, and had that not helped within five seconds, SIGKILL.
    if (!trio::move_on_after(50ms, [] { trio::run_process({"sleep", "3600"}); })) {
      std::cout << "gave up on the third\n";
    }
    const trio::Path notes = std::filesystem::temp_directory_path() / "weft_children_example";
    notes.mkdir({.exist_ok = true});
    trio::run_process({"echo done > notes"}, {.cwd = notes.string(), .shell = true});
    std::cout << "noted: " << (notes / "notes").read_text();
    (notes / "notes").unlink();
    notes.rmdir();
  });
}
