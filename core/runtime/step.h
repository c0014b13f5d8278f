// What the engine asks of whoever computes a step, and what it gets back. The engine runs what it
// is given: a model's executor, or anything else that fills the same result.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/runtime/request.h"

namespace tenon {

// A request's rows in a step.
struct BatchItem {
  Request* request = nullptr;
  std::int32_t begin = 0, end = 0;  // tokens
};

// A row whose logits are wanted.
struct SampledRow {
  Request* request = nullptr;
  std::int32_t position = 0;  // of the token that the row predicts
  std::int32_t target = -1;   // >= 0: a prompt token to score
};

// One result per row. The arrays are the runner's, until it runs again.
struct StepResult {
  std::span<const SampledRow> rows;
  std::span<const tenon_sample_result> results;
};

// Computes the items of a checked plan, whose pages are held. Complete on return. Thread: the
// engine's.
using StepRunner = std::function<Result<StepResult>(std::span<const BatchItem>)>;

// Appends the rows that `item` samples, in the order of their results: row t predicts token t + 1,
// which is a prompt token to score, or the next token.
inline void append_sampled_rows(const BatchItem& item, std::vector<SampledRow>& rows) {
  Request& request = *item.request;
  if (request.spec.prompt_logprobs)
    for (std::int32_t t = item.begin; t < item.end && t + 1 < request.prompt_tokens(); ++t)
      if (t + 1 > request.scored)
        rows.push_back({&request, t + 1, request.tokens[static_cast<std::size_t>(t) + 1]});
  if (item.end == request.known() && request.known() < request.limit)
    rows.push_back({&request, item.end, -1});
}

}  // namespace tenon
