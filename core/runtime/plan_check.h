// The validity rule. A plan is data; the core owns the frontier and rejects a plan that breaks it.
//
// Request q may run tokens [a, b) only if its KV is valid for exactly [0, a) on all layers, and b
// is not beyond what is known. As every item spans all layers, the frontier is the same on all of
// them: one number, Request::computed.
#pragma once

#include <cstdint>
#include <span>

#include "core/base/error.h"
#include "tenon/abi/scheduler.h"

namespace tenon {

// Checks `plan` against the view that it was made from. TENON-R040 names the item and the broken
// rule.
Status check_plan(const tenon_schedule_view& view, const tenon_plan& plan);

}  // namespace tenon
