#include "core/load/kv_budget.h"

#include <algorithm>
#include <cmath>

#include "core/memory/page_pool.h"

namespace tenon {
namespace {

constexpr std::int32_t kUsualTokens = 4096, kStepTokens = 2048;

// Pages of a pool for each page of a pool without a window.
double share_of(const KvPoolSize& pool, std::int32_t context) {
  if (pool.window == 0) return 1;
  const std::int32_t usual = pages_for_tokens(std::min(context, kUsualTokens)),
                     kept = pages_for_tokens(std::min(pool.window, context)) +
                            pages_for_tokens(std::min(kStepTokens, context)) + 2;
  return std::min(1.0, static_cast<double>(kept) / usual);
}

}  // namespace

Status size_kv_pools(std::span<KvPoolSize> pools, const ManifestEngine& engine,
                     std::int32_t context, const std::string& where) {
  double bytes = 0;  // for one page of a pool without a window, and what goes with it
  for (const KvPoolSize& pool : pools)
    bytes += share_of(pool, context) * static_cast<double>(pool.page_bytes);
  double base = 2.0 * (pages_for_tokens(context) + 1);
  if (engine.kv_pages > 0) base = static_cast<double>(engine.kv_pages);
  if (engine.kv_bytes > 0)
    base = std::min(static_cast<double>(1u << 30), static_cast<double>(engine.kv_bytes) / bytes);
  for (KvPoolSize& pool : pools) {
    const double n = base * share_of(pool, context);
    // Rounded down, so that the bytes hold; 2^-20: what the division may have lost.
    pool.n_pages = static_cast<std::uint32_t>(n + 0x1p-20);
    if (pool.n_pages < 2)
      return Error{.code = Code::kInvalidArgument,
                   .id = "TENON-R057",
                   .message = "the KV budget is below two pages",
                   .where = where,
                   .found = std::to_string(pool.n_pages) + " pages",
                   .expected = "at least 2 pages of " + std::to_string(pool.page_bytes) + " bytes",
                   .fix = "raise engine.kv_bytes or engine.kv_pages"};
  }
  return {};
}

}  // namespace tenon
