// A request: what the caller asked for, and what the engine knows of it while it lives.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/adapter/adapter_set.h"
#include "core/base/hash.h"
#include "core/format/tokenizer.h"
#include "core/runtime/stop.h"
#include "tenon/abi/cache.h"
#include "tenon/abi/ops.h"

namespace tenon {

// The definition of each field is in tenon/sdk/sample.hpp.
struct SamplingParams {
  double temperature = 0;         // 0: greedy
  std::int32_t top_k = 0;         // 0: off
  double top_p = 1;               // 1: off
  double min_p = 0;               // 0: off
  double repetition_penalty = 1;  // on tokens of prompt and answer; 1: off
  double presence_penalty = 0;    // on tokens of the answer
  double frequency_penalty = 0;   // the same, once per occurrence
  std::uint64_t seed = 0;
  std::vector<std::pair<std::int32_t, double>> logit_bias;
};

enum class FinishReason { kNone, kStop, kLength, kAborted };
const char* finish_reason_name(FinishReason reason);  // "stop", "length", "aborted"

using TokenLogprob = tenon_token_logprob;  // {token, logprob}

// One piece of news; views are valid inside the callback.
struct TokenEvent {
  std::uint64_t request = 0;
  std::int32_t token = -1;    // -1: no new token (the last text, or an abort)
  float logprob = 0;          // of `token`; for a prompt token, given what stands before it
  bool prompt = false;        // a prompt token's log-probability (RequestSpec::prompt_logprobs)
  std::int32_t position = 0;  // of `token` in the sequence
  std::int32_t cached = 0;    // prompt tokens that a cache gave when the request first ran
  std::span<const TokenLogprob> top;  // RequestSpec::n_top of them
  std::string_view text;              // what the answer grew by; may be empty
  FinishReason finish = FinishReason::kNone;
};

struct RequestSpec {
  std::vector<std::int32_t> prompt;
  SamplingParams sampling;
  std::int32_t max_tokens = -1;   // -1: up to the context's end; 0: score the prompt only
  std::vector<std::string> stop;  // ends before the first of these; it is not part of the answer
  bool ignore_eos = false;
  std::int32_t n_top = 0;        // most likely tokens to report with each log-probability
  std::string adapter;           // the name of a loaded one; empty: the model as it is
  bool prompt_logprobs = false;  // events for prompt tokens 1.. ; skips the prefix lookup
  std::function<void(const TokenEvent&)> on_event;  // called inside Engine::step; may be empty
};

// A sequence's pages in one pool. Pages before `first` have left the pool's window and are no
// longer held.
struct PageTable {
  std::vector<std::uint32_t> pages;  // of positions [0, 64 * pages.size())
  std::int32_t first = 0;
  std::int32_t committed = 0;  // pages offered to the caches
  std::vector<std::uint32_t>
      hit;  // while waiting: what a lookup found, TENON_NO_PAGE where nothing

  std::span<const std::uint32_t> held() const {
    return std::span(pages).subspan(static_cast<std::size_t>(first));
  }
};

struct Request {
  std::uint64_t id = 0;
  RequestSpec spec;
  AdapterUse adapter;                // which version of it, from submit on
  Hash128 cache_seed;                // identity of everything that the request's KV depends on
  std::vector<std::int32_t> tokens;  // prompt, then the answer; room for `limit`
  std::int32_t limit = 0;            // tokens never grows beyond this
  bool running = false;
  std::int32_t cached = -1;     // tokens that a cache gave when it first ran; -1: it has not run
  std::uint64_t last_step = 0;  // steps of the engine when it last ran, or when it came

  // Validity: KV of tokens [0, computed) is there on all layers.
  std::int32_t computed = 0;
  std::vector<PageTable> kv;  // one per page pool; all cover the same positions
  std::vector<tenon_cache_key>
      keys;  // of the full pages of `tokens`, as far as they have been made

  std::int32_t scored =
      0;  // prompt positions whose log-probability has been reported: a preempted prompt runs again
  std::optional<StreamDecoder> decoder;
  StopMatcher matcher;
  std::vector<tenon_sample_adjust> adjust;  // penalties and biases, one per token that has any
  std::unordered_map<std::int32_t, std::size_t> adjust_of;  // token -> place in `adjust`
  std::vector<std::int32_t> count;       // occurrences in the answer, beside `adjust`
  std::vector<tenon_token_logprob> top;  // room for n_top
  bool aborted = false;                  // ends at the next step boundary
  bool finished = false;  // its last event has been given; its pages go back at the step boundary

  std::int32_t known() const { return static_cast<std::int32_t>(tokens.size()); }
  // Pages in every pool; a step that failed may have left more in some.
  std::int32_t page_count() const {
    std::size_t least = kv[0].pages.size();
    for (const PageTable& table : kv) least = std::min(least, table.pages.size());
    return static_cast<std::int32_t>(least);
  }
  std::int32_t prompt_tokens() const { return static_cast<std::int32_t>(spec.prompt.size()); }
};

// Fills `adjust` from bias and prompt.
void start_adjustments(Request& request);
// The answer grew by `token`.
void count_token(Request& request, std::int32_t token);

}  // namespace tenon
