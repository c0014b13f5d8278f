// What an attention plugin may ask a backend to read.
#pragma once

#include "core/base/error.h"
#include "tenon/abi/ops.h"

namespace tenon {

// Checks a read set against its batch: the pages of each sequence are its own at the places where
// they lie, in ascending order, and every row has one to read; on a layer with a window, at least
// the pages that hold the rows themselves. TENON-R027 names the sequence.
Status check_read_set(const tenon_attention_batch& batch, const tenon_read_set& read_set,
                      std::int32_t layer, std::int32_t window);

}  // namespace tenon
