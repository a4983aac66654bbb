// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

#include "tools/linkcheck/check.h"
#include "tools/linkcheck/options.h"

namespace linkcheck {

// Targets that are neither a URL nor a directory that can be read: a line for each.
class WrongTarget : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What is checked when nothing is asked for: the tree, or, if there is no HTML in it, weft's guides
// (their folder may be gone) and a generated site.
struct UsualPlaces {
  std::string tree;
  std::string guides;
};
UsualPlaces usual_places();

// What the options ask for. `message` is what should be said first: which directory is served, and
// when there is nothing to check in the usual one, what is checked instead.
//
// Throws WrongTarget if one of the targets is none, Lack if this process lacks something.
struct Planned {
  CheckPlan plan;
  std::string message;
};
Planned make_plan(const Options& options, const UsualPlaces& usual = usual_places());

}  // namespace linkcheck
