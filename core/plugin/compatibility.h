// Which plugins have been run together. The record is docs/reference/compatibility.json, written by
// `tenon plugin matrix` and compiled into the core; a pair that is not in it is untested.
//
//   {"format": 1,
//    "pairs": [["tenon.attention.dense 0.1.0", "tenon.backend.cpu 0.1.0", "passed",
//               "tenon plugin matrix", {"llama": "equal"}], ...]}
//
// A pair is two of "id version", the smaller first; its result is "passed" or "failed"; then what
// was run, and optionally texts on what was found. Other members are for readers of the file.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/error.h"

namespace tenon {

struct PairResult {
  bool passed = false;
  std::string run;
};

struct CompatibilityRecord {
  std::map<std::pair<std::string, std::string>, PairResult> pairs;

  // Null: untested. In either order.
  const PairResult* find(const std::string& a, const std::string& b) const;
};

// TENON-P067: not of the form above.
Result<CompatibilityRecord> parse_compatibility(std::string_view json, const std::string& name);
// The one that this core was built with.
const CompatibilityRecord& compatibility_record();
// The text of it.
std::string_view compatibility_text();

}  // namespace tenon
