// The two readings of one set of kernels. `Exact` says what an op means: doubles, nothing rounded
// but the weights in the file. `Contract` says which bits a backend of numerics "contract/1"
// computes (tenon/abi/contract.h). A bug that both readings share is a bug of meaning, which the
// foreign oracle finds; one that only Contract has is a bug of rounding, which Exact finds.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/tensor/half.h"
#include "tenon/abi/contract.h"

namespace tenon::reference {

struct Exact {
  using Real = double;
  using Kv = double;
  static constexpr const char* kNumerics = "exact/1";
  static constexpr bool kQuantisesActivations = false;
  static Real fma(Real a, Real b, Real c) { return a * b + c; }
  static Real exp(Real x) { return std::exp(x); }
  static Real silu(Real x) { return x / (1 + std::exp(-x)); }
  static Real gelu(Real x) {
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }
  static Real sum_squares(const Real* x, std::int64_t n) {
    Real sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += x[i] * x[i];
    return sum;
  }
  static Real sum(const Real* x, std::int64_t n) {
    Real total = 0;
    for (std::int64_t i = 0; i < n; ++i) total += x[i];
    return total;
  }
  static Kv store(Real x) { return x; }
  static Real load(Kv x) { return x; }
  static float factor(float x) { return x; }  // of a low-rank delta, as it is kept
  static Kv poison() { return std::numeric_limits<double>::quiet_NaN(); }
};

struct Contract {
  using Real = float;
  using Kv = std::uint16_t;  // f16
  static constexpr const char* kNumerics = "contract/1";
  static constexpr bool kQuantisesActivations = true;
  static Real fma(Real a, Real b, Real c) { return std::fma(a, b, c); }
  static Real exp(Real x) { return tenon_exp(x); }
  static Real silu(Real x) { return tenon_silu(x); }
  static Real gelu(Real x) { return tenon_gelu(x); }
  static Real sum_squares(const Real* x, std::int64_t n) { return tenon_sum_squares16(x, n); }
  static Real sum(const Real* x, std::int64_t n) { return tenon_sum16(x, n); }
  static Kv store(Real x) { return f16_from_f32(x); }
  static Real load(Kv x) { return f32_from_f16(x); }
  static float factor(float x) { return f32_from_f16(f16_from_f32(x)); }
  static Kv poison() { return 0x7e00; }
};

}  // namespace tenon::reference
