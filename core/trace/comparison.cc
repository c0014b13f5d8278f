#include "core/trace/comparison.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "core/trace/metrics.h"

namespace tenon {
namespace {

constexpr int kDraws = 2000;
constexpr std::uint_fast64_t kSeed = 20240229;

double ratio_of(double a, double b) { return a > 0 ? b / a : 1; }

}  // namespace

RatioEstimate ratio_of_medians(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty()) return {};
  const bool pairs = a.size() == b.size();
  // Not std::uniform_int_distribution: every library has its own.
  std::mt19937_64 random(kSeed);
  std::vector<double> drawn_a(a.size()), drawn_b(b.size()), ratios;
  for (int draw = 0; draw < kDraws; ++draw) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      const std::size_t at = random() % a.size();
      drawn_a[i] = a[at];
      if (pairs) drawn_b[i] = b[at];
    }
    for (std::size_t i = 0; !pairs && i < b.size(); ++i) drawn_b[i] = b[random() % b.size()];
    ratios.push_back(ratio_of(median_of(drawn_a), median_of(drawn_b)));
  }
  std::sort(ratios.begin(), ratios.end());
  return {ratio_of(median_of({a.begin(), a.end()}), median_of({b.begin(), b.end()})),
          percentile(ratios, 2.5), percentile(ratios, 97.5)};
}

double noise_of(const RatioEstimate& same) {
  return std::max(std::abs(same.low - 1), std::abs(same.high - 1));
}

SampleComparison compare_samples(std::span<const double> a, std::span<const double> b,
                                 double noise) {
  SampleComparison out{.change = ratio_of_medians(a, b), .noise = noise};
  if (std::min(a.size(), b.size()) < kFewestToDecide) return out;
  out.difference = Difference::kNoDifference;
  if (std::abs(out.change.ratio - 1) <= noise) return out;
  if (out.change.low > 1) out.difference = Difference::kMore;
  if (out.change.high < 1) out.difference = Difference::kLess;
  return out;
}

}  // namespace tenon
