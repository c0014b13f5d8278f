// What every scheduler reads out of its view. The arithmetic of pages is in page_budget.hpp.
#pragma once

#include <cstdint>

#include "tenon/abi/scheduler.h"

namespace tenon::sdk {

// Tokens that are known and not computed.
inline std::int32_t tokens_left(const tenon_request_view& request) {
  return request.known - request.computed;
}

// One known token is left: running it gives the next. Otherwise the request is still in its
// prompt, or, preempted, in its prompt and what it had answered.
inline bool is_decode(const tenon_request_view& request) {
  return tokens_left(request) == 1 && request.computed >= request.prompt;
}

}  // namespace tenon::sdk
