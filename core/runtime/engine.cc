// Requests come, go and are stepped; engine_plan.cc and engine_results.cc are what a step is.
#include "core/runtime/engine.h"

#include <algorithm>
#include <cmath>

namespace tenon {
namespace {

Error refuse(const char* id, std::string message, std::string found, std::string expected,
             std::string fix = {}) {
  return {.code = Code::kInvalidArgument,
          .id = id,
          .message = std::move(message),
          .where = "request",
          .found = std::move(found),
          .expected = std::move(expected),
          .fix = std::move(fix)};
}

Status in_range(const char* name, double value, double least, double most) {
  if (std::isfinite(value) && value >= least && value <= most) return {};
  const auto text = [](double v) { return std::to_string(v).substr(0, 12); };
  return refuse("TENON-R036", std::string("sampling: ") + name + " is out of range", text(value),
                text(least) + " to " + text(most));
}

}  // namespace

Status Engine::check_sampling(const RequestSpec& spec) const {
  const SamplingParams& s = spec.sampling;
  const std::int32_t vocabulary = parts_.vocabulary;
  TENON_TRY(in_range("temperature", s.temperature, 0, 100));
  TENON_TRY(in_range("top_k", s.top_k, 0, 1 << 30));
  TENON_TRY(in_range("top_p", s.top_p, 0, 1));
  TENON_TRY(in_range("min_p", s.min_p, 0, 1));
  TENON_TRY(in_range("repetition_penalty", s.repetition_penalty, 0.01, 100));
  TENON_TRY(in_range("presence_penalty", s.presence_penalty, -100, 100));
  TENON_TRY(in_range("frequency_penalty", s.frequency_penalty, -100, 100));
  TENON_TRY(in_range("logprobs (most likely tokens)", spec.n_top, 0, vocabulary));
  for (const auto& [token, bias] : s.logit_bias) {
    TENON_TRY(in_range("logit_bias token", token, 0, vocabulary - 1));
    TENON_TRY(in_range("logit_bias", bias, -1000, 1000));
  }
  return {};
}

Status Engine::check(const RequestSpec& spec) const {
  const auto prompt = static_cast<std::int64_t>(spec.prompt.size());
  if (prompt == 0)
    return refuse("TENON-R034", "the prompt has no tokens", "0", "at least 1",
                  "give a text, or let the tokenizer add a BOS token");
  // An answer needs at least one place after the prompt.
  const std::int64_t most = spec.max_tokens == 0 ? parts_.context : parts_.context - 1;
  if (prompt > most)
    return refuse("TENON-R030", "the prompt is longer than the context",
                  std::to_string(prompt) + " tokens", "at most " + std::to_string(most),
                  "shorten the prompt or raise engine.context");
  for (const std::int32_t token : spec.prompt)
    if (token < 0 || token >= parts_.vocabulary)
      return refuse("TENON-R035", "a prompt token is outside the vocabulary", std::to_string(token),
                    "0 to " + std::to_string(parts_.vocabulary - 1));
  return check_sampling(spec);
}

// A name means what it means now; KV that another adapter or version made is never found.
Status Engine::bind_adapter(Request& request, const RequestSpec& spec) {
  request.cache_seed = parts_.cache_seed;
  if (spec.adapter.empty()) return {};
  if (parts_.adapters == nullptr)
    return refuse("TENON-D004", "the request names an adapter, but no plugin applies adapters",
                  "\"" + spec.adapter + "\"", "a manifest with an adapter plugin",
                  "write adapter { plugin: \"tenon.adapter.lora\" } into the manifest");
  TENON_ASSIGN(request.adapter, parts_.adapters->acquire(spec.adapter));
  request.cache_seed = hash_text(request.adapter.slot()->files.identity(), parts_.cache_seed);
  return {};
}

Result<std::uint64_t> Engine::submit(RequestSpec spec) {
  TENON_TRY(check(spec));
  auto request = std::make_unique<Request>();
  TENON_TRY(bind_adapter(*request, spec));
  const auto prompt = static_cast<std::int32_t>(spec.prompt.size());
  request->limit = spec.max_tokens < 0
                       ? parts_.context
                       : static_cast<std::int32_t>(std::min<std::int64_t>(
                             parts_.context, std::int64_t{prompt} + spec.max_tokens));
  // One page more than the sequence fills: a prefix hit may end in a shared page, which is copied
  // before it is written.
  const std::int32_t pages = pages_for_tokens(request->limit) + 1;
  for (const KvMemory* kv : parts_.kv) {
    const std::int32_t size = static_cast<std::int32_t>(kv->pool().size());
    // Of a window as much as a step of one page needs, however long the sequence.
    const std::int32_t wanted =
        kv->window() > 0 ? std::min(pages, pages_for_tokens(kv->window()) + 3) : pages;
    if (wanted > size)
      return refuse("TENON-R031", "the page pool cannot hold this request even alone",
                    std::to_string(wanted) + " pages of 64 tokens wanted",
                    "at most " + std::to_string(size), "raise engine.kv_pages or lower max_tokens");
  }
  request->id = next_id_++;
  request->last_step = stats_.steps;
  // Everything that grows with the answer gets its room now: a steady step allocates nothing.
  request->tokens.reserve(static_cast<std::size_t>(request->limit) + 1);
  request->tokens = spec.prompt;
  request->tokens.reserve(static_cast<std::size_t>(request->limit) + 1);
  request->kv.resize(parts_.kv.size());
  for (PageTable& table : request->kv) table.pages.reserve(static_cast<std::size_t>(pages));
  request->keys.reserve(static_cast<std::size_t>(pages));
  request->decoder.emplace(*parts_.tokenizer);
  request->matcher = StopMatcher(spec.stop);
  request->spec = std::move(spec);
  start_adjustments(*request);
  const std::uint64_t id = request->id;
  waiting_.push_back(std::move(request));
  running_.reserve(waiting_.size() + running_.size());
  return id;
}

Request* Engine::find(Queue& queue, std::uint64_t id) {
  const auto at = std::find_if(queue.begin(), queue.end(),
                               [id](const auto& request) { return request->id == id; });
  return at == queue.end() ? nullptr : at->get();
}

void Engine::abort(std::uint64_t id) {
  for (Queue* queue : {&waiting_, &running_})
    if (Request* request = find(*queue, id)) request->aborted = true;
}

bool Engine::is_running(std::uint64_t id) const {
  return std::any_of(running_.begin(), running_.end(),
                     [id](const auto& request) { return request->id == id; });
}

Status Engine::run() {
  for (;;) {
    TENON_ASSIGN(const bool more, step());
    if (!more) return {};
  }
}

Result<bool> Engine::step() {
  Profile* profile = parts_.profile;
  if (profile == nullptr) return run_step();
  profile->begin_step();
  Result<bool> more = run_step();
  profile->end_step(live() > 0);
  return more;
}

Result<bool> Engine::run_step() {
  TENON_TRY(retire());
  if (live() == 0) return false;
  TENON_TRY(build_view());
  TENON_TRY(make_plan());
  TENON_TRY(take_pages());
  TENON_TRY(run_items());
  TENON_TRY(retire());
  return true;
}

}  // namespace tenon
