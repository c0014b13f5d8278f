// One call of attend with everything around it: geometry, rope, pages in no order, a past that was
// written before, and free pages full of NaN.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/conform/backend_rig.h"

namespace tenon::conform {

struct AttendCase {
  int q_heads, kv_heads, dim;
  tenon_rope_style style;
  int rope_dims;
  std::vector<std::pair<int, int>> sequences;  // tokens before, rows now; at most 4, below 400
  bool sparse;                                 // reads the first and the last page only
  int window = 0;
  bool norms = false;  // of query and key heads
  std::string name() const;
};

// The page that holds tokens [64 p, 64 p + 64) of a case's sequence.
std::uint32_t attend_page(std::size_t sequence, int p);

// Prepares the backend, writes the past of each sequence, poisons what has left the window, and
// attends the rows. A row's input depends on its place alone, so a case with fewer rows has the
// same beginning.
Result<BackendRig::Matrix> run_attend(const BackendRig& rig, const AttendCase& c);
// The rows of the one sequence of a case without a past, first [0, first) and then the others: as
// run_attend() puts them together.
Result<BackendRig::Matrix> run_attend_in_parts(const BackendRig& rig, const AttendCase& c,
                                               int first);
// One more row of the first sequence, after run_attend().
Result<BackendRig::Matrix> attend_one_more(const BackendRig& rig, const AttendCase& c);

}  // namespace tenon::conform
