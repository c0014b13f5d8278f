#include "core/adapter/lowering.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace tenon {
namespace {

constexpr std::int32_t kMostRank = 4096;

// Divides by the power of two that brings the largest value into [1/2, 1); gives its exponent.
int normalise(std::vector<float>& values) {
  float most = 0;
  for (const float value : values) most = std::max(most, std::abs(value));
  int exponent = 0;
  if (most == 0) return 0;
  std::frexp(most, &exponent);
  for (float& value : values) value = std::ldexp(value, -exponent);
  return exponent;
}

bool all_finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(),
                     [](float value) { return std::isfinite(value); });
}

// A part of a factor, as a backend reads it.
struct Part {
  const float* values;
  std::int64_t width;  // of a row of the whole factor
  std::int64_t first_n, first_k, k;
};

void read_part(void* ctx, std::int64_t first, std::int64_t rows, void* values, float*, float*) {
  const auto& part = *static_cast<const Part*>(ctx);
  for (std::int64_t r = 0; r < rows; ++r)
    std::copy_n(part.values + (part.first_n + first + r) * part.width + part.first_k, part.k,
                static_cast<float*>(values) + r * part.k);
}

Status load_part(const iface::Backend& backend, const std::string& name, std::uint32_t id,
                 tenon_weight_use use, Part part, std::int64_t n) {
  const tenon_weight weight{{sizeof weight, 0, nullptr},
                            {name.data(), name.size()},
                            id,
                            TENON_LAYOUT_F32,
                            n,
                            part.k,
                            0,
                            use,
                            &read_part,
                            &part};
  return backend.load_weight(&weight);
}

}  // namespace

std::int64_t published_row(const SiteShape& site, std::int64_t row) {
  if (site.paired_heads <= 0) return row;
  const std::int64_t dim = site.n / site.paired_heads, at = row % dim;
  return row - at + at / 2 + (at % 2) * (dim / 2);
}

Result<SiteFactors> take_factors(const SiteShape& site, const tenon_lowered& lowered) {
  if (lowered.rank < 1 || lowered.rank > kMostRank || !std::isfinite(lowered.scale) ||
      lowered.a == nullptr || lowered.b == nullptr)
    return Error{.code = Code::kInternal,
                 .id = "TENON-D014",
                 .message = "the adapter plugin lowered a module to no usable factors",
                 .where = site.module,
                 .found = "rank " + std::to_string(lowered.rank) + ", scale " +
                          std::to_string(lowered.scale),
                 .expected = "rank 1 to " + std::to_string(kMostRank) + ", both factors",
                 .fix = "this is a defect of the adapter plugin"};
  SiteFactors out{lowered.rank, lowered.scale, {}, {}};
  out.a.assign(lowered.a, lowered.a + lowered.rank * site.k);
  out.b.resize(static_cast<std::size_t>(site.n * lowered.rank));
  for (std::int64_t n = 0; n < site.n; ++n)
    std::copy_n(lowered.b + published_row(site, n) * lowered.rank, lowered.rank,
                out.b.begin() + n * lowered.rank);
  if (!all_finite(out.a) || !all_finite(out.b))
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-D015",
                 .message = "a factor holds a value that is not finite",
                 .where = site.module};
  out.scale = std::ldexp(out.scale, normalise(out.a) + normalise(out.b));
  return out;
}

Status load_factors(const std::vector<AdapterRank>& ranks, std::size_t site_index,
                    const SiteShape& site, const SiteFactors& factors, std::uint32_t a_id,
                    std::uint32_t b_id) {
  const std::string a_name = site.module + ", factor A", b_name = site.module + ", factor B";
  for (const AdapterRank& rank : ranks) {
    const SiteCut& cut = rank.cuts[site_index];
    TENON_TRY(load_part(rank.backend, a_name, a_id, TENON_WEIGHT_USE_LOW_RANK_A,
                        {factors.a.data(), site.k, 0, cut.first_k, cut.k}, factors.rank));
    TENON_TRY(load_part(rank.backend, b_name, b_id, TENON_WEIGHT_USE_LOW_RANK_B,
                        {factors.b.data(), factors.rank, cut.first_n, 0, factors.rank}, cut.n));
  }
  return {};
}

}  // namespace tenon
