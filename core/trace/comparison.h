// Is one of two samples larger than the other, or is the difference what the machine does by
// itself? Values are positive: rates or times.
//
// The change is the ratio of the medians, with the 95 % interval of a bootstrap. Samples of equal
// size are taken as pairs that were measured side by side: a pair is drawn as a whole, so that what
// slows both of it changes nothing. The draws follow from a fixed seed: the same samples give the
// same answer, everywhere.
#pragma once

#include <cstddef>
#include <span>

namespace tenon {

struct RatioEstimate {
  double ratio = 1;          // median of b / median of a
  double low = 1, high = 1;  // of the 95 % interval
};
// All 1 when a sample is empty.
RatioEstimate ratio_of_medians(std::span<const double> a, std::span<const double> b);

// What the ratio of two things that do not differ has been seen to reach: the distance from 1 of
// the far end of its interval.
double noise_of(const RatioEstimate& same);

// Below this many values a sample decides nothing.
inline constexpr std::size_t kFewestToDecide = 5;

enum class Difference { kMore, kLess, kNoDifference, kTooFew };

struct SampleComparison {
  RatioEstimate change;
  double noise = 0;  // a change that is no larger says nothing
  Difference difference = Difference::kTooFew;
};

// kMore, kLess: 1 is outside of the interval, and the ratio is further from 1 than `noise`.
SampleComparison compare_samples(std::span<const double> a, std::span<const double> b,
                                 double noise);

}  // namespace tenon
