#include "apps/tenon/bench/rounds.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <span>

#include "apps/tenon/bench/cpu_share.h"

namespace tenon::app {
namespace {

constexpr double kAgreement = 0.05;

std::string text_of(const BenchCell& cell) {
  return "prompt " + std::to_string(cell.prompt) + ", gen " + std::to_string(cell.gen) +
         ", depth " + std::to_string(cell.depth) + ", batch " + std::to_string(cell.batch);
}

bool all_settled(const std::vector<ArmSamples>& arms) {
  return std::all_of(arms.begin(), arms.end(), [](const ArmSamples& arm) {
    return has_settled(arm.prefill) && has_settled(arm.decode);
  });
}

class Rounds {
 public:
  Rounds(const BenchPlan& plan, std::vector<BenchArm>& arms,
         const std::function<void(const std::string&)>& progress)
      : plan_(plan), arms_(arms), progress_(progress), order_(arms.size()) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
  }

  Result<CellResult> measure(const BenchCell& cell, const std::string& which) {
    CellResult result{.cell = cell};
    std::vector<ArmSamples> warm(arms_.size());
    while (result.warm_rounds < plan_.warm_up && !result.steady) {
      TENON_TRY(round(
          cell,
          which + text_of(cell) + ": warming up, round " + std::to_string(++result.warm_rounds),
          warm));
      result.steady = all_settled(warm);
    }
    std::vector<int> processes;
    for (const BenchArm& arm : arms_)
      if (arm.process != 0) processes.push_back(arm.process);
    const OthersShare others(std::move(processes));
    result.arms.resize(arms_.size());
    for (std::int64_t i = 1; i <= plan_.rounds; ++i)
      TENON_TRY(round(cell,
                      which + text_of(cell) + ": round " + std::to_string(i) + " of " +
                          std::to_string(plan_.rounds),
                      result.arms));
    result.others = others.so_far();
    return result;
  }

 private:
  Status round(const BenchCell& cell, const std::string& what, std::vector<ArmSamples>& into) {
    progress_(what);
    for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random_() % i]);
    ++seed_;  // the same tokens for all arms, and others than in any round before
    for (const std::size_t i : order_) {
      TENON_ASSIGN(const BenchRound round, arms_[i].measure(cell, seed_));
      into[i].prefill.push_back(round.prefill_rate());
      into[i].decode.push_back(round.decode_rate());
      into[i].gaps.insert(into[i].gaps.end(), round.gaps.begin(), round.gaps.end());
      into[i].spared = round.spared;
    }
    return {};
  }

  const BenchPlan& plan_;
  std::vector<BenchArm>& arms_;
  const std::function<void(const std::string&)>& progress_;
  std::vector<std::size_t> order_;
  std::mt19937_64 random_{1};
  std::uint64_t seed_ = 0;
};

}  // namespace

bool has_settled(const std::vector<double>& rates) {
  if (rates.size() < kRoundsThatAgree) return false;
  const auto last = std::span(rates).last(kRoundsThatAgree);
  const auto [least, most] = std::minmax_element(last.begin(), last.end());
  return *most - *least <= kAgreement * *most;
}

Result<std::vector<CellResult>> run_rounds(
    const BenchPlan& plan, std::vector<BenchArm>& arms,
    const std::function<void(const std::string&)>& progress) {
  Rounds rounds(plan, arms, progress);
  std::vector<CellResult> out;
  for (std::size_t i = 0; i < plan.cells.size(); ++i) {
    const std::string which = plan.cells.size() > 1 ? "cell " + std::to_string(i + 1) + " of " +
                                                          std::to_string(plan.cells.size()) + ", "
                                                    : "";
    TENON_ASSIGN(CellResult result, rounds.measure(plan.cells[i], which));
    out.push_back(std::move(result));
  }
  return out;
}

}  // namespace tenon::app
