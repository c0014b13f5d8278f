// How many pages each pool gets under one budget.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/manifest/manifest.h"
#include "tenon/abi/ops.h"

namespace tenon {

struct KvPoolSize {
  std::int32_t window = 0;       // tokens; 0: the whole sequence is kept
  std::uint64_t page_bytes = 0;  // over all layers of the spec
  std::uint32_t n_pages = 0;
};

// Fills n_pages. engine.kv_pages counts the pages of a pool without a window; engine.kv_bytes is
// for all pools together; with neither there is room for two sequences of full length, whose memory
// the system gives only when it is touched. A pool with a window gets the share that sequences of
// up to 4,096 tokens need of it: their window, and a step's worth of new tokens. TENON-R057: below
// two pages.
Status size_kv_pools(std::span<KvPoolSize> pools, const ManifestEngine& engine,
                     std::int32_t context, const std::string& where);

}  // namespace tenon
