// Random numbers of traces. The standard library's distributions give other numbers on other
// systems; these give the same everywhere, so a seed names a trace.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>

namespace tenon {

class TraceRandom {
 public:
  explicit TraceRandom(std::uint64_t seed) : bits_(seed) {}

  std::uint64_t bits() { return bits_(); }

  // In (0, 1]: its logarithm is finite.
  double uniform() { return (static_cast<double>(bits_() >> 11) + 1) * 0x1p-53; }
  // In [least, most], both possible.
  std::int64_t integer(std::int64_t least, std::int64_t most) {
    const double width = static_cast<double>(most - least) + 1;
    return std::min(most, least + static_cast<std::int64_t>((1 - uniform()) * width));
  }
  double exponential() { return -std::log(uniform()); }
  // Box and Muller, one of the pair.
  double normal() {
    const double radius = std::sqrt(2 * exponential());
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }
  // Marsaglia and Tsang, ACM TOMS 26 (2000); shape > 0, scale 1.
  double gamma(double shape) {
    if (shape < 1) return gamma(shape + 1) * std::pow(uniform(), 1 / shape);
    const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
      const double x = normal(), root = 1 + c * x;
      if (root <= 0) continue;
      const double v = root * root * root;
      if (std::log(uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
    }
  }

 private:
  std::mt19937_64 bits_;
};

}  // namespace tenon
