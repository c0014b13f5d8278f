// From what a plugin says of a site to weights in the backends.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/iface/tables.h"
#include "core/ops/model_shape.h"

namespace tenon {

// A linear place that adapters know by the name of the published module.
struct SiteShape {
  std::uint32_t weight = 0;
  std::string module;             // "model.layers.0.self_attn.q_proj"
  std::int64_t n = 0, k = 0;      // of the whole weight, whatever a rank holds of it
  std::int32_t paired_heads = 0;  // as in tenon_site
};

// Which part of a site a rank holds, in the file's order of rows.
struct SiteCut {
  std::int64_t first_n = 0, n = 0, first_k = 0, k = 0;
};

// One holder of the model's weights.
struct AdapterRank {
  iface::Backend backend;
  std::vector<SiteCut> cuts;  // beside the model's sites
};

// The factors of a site, ready for backends. Each is divided by a power of two so that its largest
// value is in [1/2, 1), and the scale multiplied by it: exact, and a backend that keeps halves
// loses nothing of their range.
struct SiteFactors {
  std::int32_t rank = 0;
  double scale = 0;
  std::vector<float> a;  // [rank, k]
  std::vector<float> b;  // [n, rank], rows in the file's order
};

// Checks a plugin's answer and copies it. TENON-D014: it has no usable rank, scale or factors;
// D015: a value is not finite.
Result<SiteFactors> take_factors(const SiteShape& site, const tenon_lowered& lowered);

// Hands both factors to every rank under the ids. On failure some may have them; freeing is the
// caller's.
Status load_factors(const std::vector<AdapterRank>& ranks, std::size_t site_index,
                    const SiteShape& site, const SiteFactors& factors, std::uint32_t a_id,
                    std::uint32_t b_id);

// The published row that the file keeps at `row` of a site with paired heads.
std::int64_t published_row(const SiteShape& site, std::int64_t row);

}  // namespace tenon
