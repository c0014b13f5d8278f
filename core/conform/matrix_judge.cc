// From contracts and runs to the marks of a matrix.
#include <algorithm>
#include <set>

#include "core/conform/matrix.h"
#include "core/conform/tiny_oracle.h"

namespace tenon::conform {
namespace {

std::string also(const std::string& before, const std::string& text) {
  return before.empty() ? text : before + "; " + text;
}

std::string all_of(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out = also(out, text);
  return out;
}

}  // namespace

// By whose class a part is held to its oracle. What the tree's comm changes is what the plugin that
// cuts the model over its ranks changes.
const PluginDescriptor& Matrix::rule_of(const MatrixParts& parts, const PluginFile* part) const {
  if (part->descriptor.id != "tenon.comm.inproc") return part->descriptor;
  for (const PluginFile* other : parts)
    if (other->descriptor.kind == "parallelism") return other->descriptor;
  const PluginFile* tp = find("tenon.parallelism.tp");
  return tp != nullptr ? tp->descriptor : part->descriptor;
}

// What does not fit, or "".
std::string Matrix::compare(const MatrixCell& cell, std::size_t model, std::string& measured) {
  const std::size_t own = cell.runs[model];
  std::set<std::pair<std::string, std::string>> told;
  bool compared = false;
  const bool rounded = std::any_of(cell.parts.begin(), cell.parts.end(), [](const auto* part) {
    return part->descriptor.kind == "backend" && !part->path.empty();
  });
  for (const PluginFile* part : cell.parts) {
    const auto run = run_of(without(cell.parts, part), kMatrixModels[model]);
    if (!run.ok()) return run.error().to_string();
    if (*run == own) continue;  // it is its own oracle
    const PluginDescriptor& rule = rule_of(cell.parts, part);
    const MatrixRun& oracle = runs_[*run];
    if (oracle.state != RunState::kRan) {
      told.emplace(part->descriptor.id, "not compared, " + oracle.name() + " does not run");
      continue;
    }
    const Finding found = compare_with_oracle(rule, runs_[own].answers, oracle.answers, rounded);
    if (found.outcome == Outcome::kFailed)
      return part->descriptor.id + " changes what it should not: " + found.text;
    compared = true;
    if (found.outcome == Outcome::kSkipped)
      told.emplace(part->descriptor.id, "not compared, an approximation");
    else if (found.text != "equal")
      told.emplace(rule.id, found.text);
  }
  for (const auto& [id, text] : told) measured = also(measured, id + ": " + text);
  if (measured.empty()) measured = compared ? "equal" : "runs";
  return "";
}

// Why the run of a model disagrees with the contracts, or "".
std::string Matrix::judge_run(MatrixCell& cell, std::size_t model) {
  const MatrixRun& run = runs_[cell.runs[model]];
  std::string& measured = cell.measured[model];
  switch (run.state) {
    case RunState::kRan:
      break;
    case RunState::kRefused:
      measured = "refused: " + run.text;
      // By itself a plugin may refuse a model that is not for it.
      return cell.parts.size() > 1 ? measured : "";
    case RunState::kNotRun:
      measured = "not run";
      return measured;
    case RunState::kFailed:
    case RunState::kCrashed:
      measured = (run.state == RunState::kFailed ? "failed: " : "crashed: ") + run.text;
      return measured;
  }
  const std::string wrong = compare(cell, model, measured);
  if (!wrong.empty()) measured = "differs: " + wrong;
  return wrong.empty() ? "" : measured;
}

void Matrix::judge_cell(MatrixCell& cell) {
  if (!cell.conflicts.empty()) {
    cell.mark = Mark::kConflict;
    cell.reason = all_of(cell.conflicts);
    return;
  }
  cell.reason = cell.obstacle;
  if (!cell.may_run()) return;
  std::string wrong, refused;
  bool ran = false;
  for (std::size_t model = 0; model < kMatrixModels.size(); ++model) {
    if (cell.runs[model] == MatrixCell::kNone) continue;
    if (const std::string why = judge_run(cell, model); !why.empty())
      wrong = also(wrong, std::string(model_name(kMatrixModels[model])) + " " + why);
    const RunState state = runs_[cell.runs[model]].state;
    ran = ran || state == RunState::kRan;
    if (state == RunState::kRefused) refused = cell.measured[model];
  }
  // A network that is made for other files says so; the others said that they fit.
  if (wrong.empty() && !refused.empty() && !ran && cell.parts.front()->descriptor.kind != "model")
    wrong = refused;
  if (!wrong.empty()) {
    cell.mark = Mark::kDisagrees;
    cell.reason = wrong;
  } else if (!ran) {
    cell.reason = refused.empty() ? "a part of it does not run beside the defaults" : refused;
  } else {
    cell.mark = cell.degraded.empty() ? Mark::kWorks : Mark::kDegraded;
    cell.reason = all_of(cell.degraded);
  }
}

void Matrix::judge() {
  for (MatrixCell& cell : cells_)
    if (cell.wanted) judge_cell(cell);
}

}  // namespace tenon::conform
