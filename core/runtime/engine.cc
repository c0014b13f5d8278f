#include "core/runtime/engine.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/runtime/plan_check.h"

namespace tenon {
namespace {

// The scheduler sees this many of the waiting requests: each costs a cache lookup.
constexpr std::size_t kWaitingShown = 256;

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

Status Engine::take_pages() {
  const ProfileSpan span(parts_.profile, Profile::kPages);
  for (std::uint32_t i = 0; i < plan_.n_preempt; ++i) TENON_TRY(preempt(plan_.preempt[i]));
  // All hits are shared before the first page is taken, so that no eviction can take one of them.
  for (std::uint32_t i = 0; i < plan_.n_items; ++i) TENON_TRY(start(plan_.items[i].request));
  for (std::uint32_t i = 0; i < plan_.n_items; ++i) TENON_TRY(reserve_pages(plan_.items[i]));
  return {};
}

// Keys of the first n_pages pages of `tokens`, all full.
void Engine::make_keys(Request& request, std::int32_t n_pages) {
  while (static_cast<std::int32_t>(request.keys.size()) < n_pages) {
    const std::size_t page = request.keys.size();
    const Hash128 before = page == 0
                               ? request.cache_seed
                               : Hash128{request.keys[page - 1].low, request.keys[page - 1].high};
    request.keys.push_back(
        page_key(std::span(request.tokens).subspan(page * kPageTokens, kPageTokens), before));
  }
}

// What a waiting request would find in the caches now: the longest prefix that every pool can
// restore. At least its last token is computed: there is no logit without it.
Status Engine::look_up(Request& request) {
  request.computed = 0;
  for (PageTable& table : request.kv) table.hit.clear();
  if (request.spec.prompt_logprobs) return {};
  const auto full = static_cast<std::size_t>(request.known() / kPageTokens);
  make_keys(request, static_cast<std::int32_t>(full));
  for (std::size_t pool = 0; pool < request.kv.size(); ++pool) {
    request.kv[pool].hit.resize(full);
    TENON_TRY(parts_.kv[pool]->lookup(std::span(request.keys).first(full), request.kv[pool].hit));
  }
  std::size_t n = full;
  for (std::size_t next = 0; n > 0 && !restorable(request, n, next);) n = next;
  request.computed = std::min(static_cast<std::int32_t>(n) * kPageTokens, request.known() - 1);
  for (std::size_t pool = 0; pool < request.kv.size(); ++pool) {
    std::vector<std::uint32_t>& hit = request.kv[pool].hit;
    hit.resize(n);
    const auto first = static_cast<std::size_t>(parts_.kv[pool]->first_page(request.computed));
    if (n > 0) std::fill_n(hit.begin(), std::min(first, n), TENON_NO_PAGE);
  }
  return {};
}

// Are all pages there that a sequence of n_pages full ones reads from? If not, `next` is the most
// that could be.
bool Engine::restorable(const Request& request, std::size_t n_pages, std::size_t& next) const {
  const std::int32_t computed =
      std::min(static_cast<std::int32_t>(n_pages) * kPageTokens, request.known() - 1);
  next = n_pages;
  for (std::size_t pool = 0; pool < request.kv.size(); ++pool)
    for (std::size_t i = static_cast<std::size_t>(parts_.kv[pool]->first_page(computed)); i < next;
         ++i)
      if (request.kv[pool].hit[i] == TENON_NO_PAGE) next = i;
  return next == n_pages;
}

tenon_request_view Engine::view_of(const Request& request) {
  const tenon_request_pages* views = page_views_.data() + page_views_.size();
  const auto first = static_cast<std::size_t>(request.computed / kPageTokens);
  for (std::size_t i = 0; i < request.kv.size(); ++i) {
    const PageTable& table = request.kv[i];
    const PagePool& pool = parts_.kv[i]->pool();
    // A running request writes into a shared page only when the step that was to copy it failed.
    const bool copies = request.running
                            ? first < table.pages.size() && pool.references(table.pages[first]) > 1
                            : first < table.hit.size();
    std::int32_t freed = 0;
    for (const std::uint32_t page : table.held())
      freed += pool.references(page) == (pool.cached(page) ? 2u : 1u);
    page_views_.push_back({copies ? 1 : 0, freed});
  }
  return {request.id,
          request.id,
          request.known(),
          request.computed,
          request.prompt_tokens(),
          request.limit,
          request.page_count(),
          static_cast<std::int32_t>(std::min<std::uint64_t>(
              stats_.steps - request.last_step, std::numeric_limits<std::int32_t>::max())),
          views};
}

Status Engine::build_view() {
  const ProfileSpan span(parts_.profile, Profile::kView);
  waiting_views_.clear();
  running_views_.clear();
  page_views_.clear();
  pool_views_.clear();
  page_views_.reserve((std::min(waiting_.size(), kWaitingShown) + running_.size()) *
                      parts_.kv.size());  // views point into it
  for (const KvMemory* kv : parts_.kv)
    pool_views_.push_back(
        {kv->available(), kv->window(), static_cast<std::int32_t>(kv->pool().size()), 0});
  for (std::size_t i = 0; i < std::min(waiting_.size(), kWaitingShown); ++i) {
    TENON_TRY(look_up(*waiting_[i]));
    waiting_views_.push_back(view_of(*waiting_[i]));
  }
  for (const auto& request : running_) running_views_.push_back(view_of(*request));
  view_ = {{sizeof view_, 0, nullptr},
           waiting_views_.data(),
           static_cast<std::uint32_t>(waiting_views_.size()),
           static_cast<std::uint32_t>(running_views_.size()),
           running_views_.data(),
           pool_views_.data(),
           static_cast<std::uint32_t>(pool_views_.size()),
           kPageTokens};
  return {};
}

Status Engine::make_plan() {
  const ProfileSpan span(parts_.profile, Profile::kPlanCheck);
  plan_items_.resize(waiting_views_.size() + running_views_.size());
  plan_preempt_.resize(running_views_.size());
  plan_ = {{sizeof plan_, 0, nullptr},
           plan_items_.data(),
           0,
           static_cast<std::uint32_t>(plan_items_.size()),
           plan_preempt_.data(),
           0,
           static_cast<std::uint32_t>(plan_preempt_.size())};
  TENON_TRY(parts_.scheduler.plan(&view_, &plan_));
  // The room is the core's, whatever the plugin has written over it.
  plan_.items = plan_items_.data();
  plan_.max_items = static_cast<std::uint32_t>(plan_items_.size());
  plan_.preempt = plan_preempt_.data();
  plan_.max_preempt = static_cast<std::uint32_t>(plan_preempt_.size());
  TENON_TRY(check_plan(view_, plan_));
  if (plan_.n_items > 0) return {};
  return Error{.code = Code::kInternal,
               .id = "TENON-R041",
               .message = "the scheduler runs nothing although requests are live",
               .where = "plan",
               .found = std::to_string(waiting_.size()) + " waiting, " +
                        std::to_string(running_.size()) + " running, " +
                        std::to_string(parts_.kv[0]->available()) + " pages available"};
}

// The sequence gives its pages up and waits again, at its place in the order of arrival. Its tokens
// stay.
Status Engine::preempt(std::uint64_t id) {
  const auto at = std::find_if(running_.begin(), running_.end(),
                               [id](const auto& request) { return request->id == id; });
  std::unique_ptr<Request> request = std::move(*at);
  running_.erase(at);
  Status status = give_back_pages(*request);
  request->running = false;
  request->computed = 0;
  waiting_.insert(std::find_if(waiting_.begin(), waiting_.end(),
                               [id](const auto& other) { return other->id > id; }),
                  std::move(request));
  ++stats_.preemptions;
  return status;
}

// A waiting request becomes a running one and holds the pages of its prefix hit.
Status Engine::start(std::uint64_t id) {
  const auto at = std::find_if(waiting_.begin(), waiting_.end(),
                               [id](const auto& request) { return request->id == id; });
  if (at == waiting_.end()) return {};
  Request& request = **at;
  Status status;
  for (std::size_t pool = 0; pool < request.kv.size(); ++pool) {
    PageTable& table = request.kv[pool];
    table.pages.assign(table.hit.begin(), table.hit.end());
    table.committed = static_cast<std::int32_t>(table.hit.size());
    table.first = 0;
    while (table.first < table.committed &&
           table.pages[static_cast<std::size_t>(table.first)] == TENON_NO_PAGE)
      ++table.first;
    if (table.held().empty()) continue;
    if (Status shared = parts_.kv[pool]->share(table.held()); !shared.ok())
      status = std::move(shared);
  }
  stats_.prefix_hit_tokens += static_cast<std::uint64_t>(request.computed);
  if (request.cached < 0) request.cached = request.computed;
  request.running = true;
  running_.insert(std::find_if(running_.begin(), running_.end(),
                               [id](const auto& other) { return other->id > id; }),
                  std::move(*at));
  waiting_.erase(at);
  return status;
}

// Pages for positions [begin, end): the first may be shared and is then copied, the rest are new.
Status Engine::reserve_pages(const tenon_plan_item& item) {
  Request& request = *find(running_, item.request);
  const auto first = static_cast<std::size_t>(item.begin / kPageTokens);
  for (std::size_t pool = 0; pool < request.kv.size(); ++pool) {
    std::vector<std::uint32_t>& pages = request.kv[pool].pages;
    if (first < pages.size()) TENON_TRY(parts_.kv[pool]->make_writable(pages[first]));
    while (static_cast<std::int32_t>(pages.size()) < pages_for_tokens(item.end)) {
      TENON_ASSIGN(const std::uint32_t page, parts_.kv[pool]->take());
      pages.push_back(page);
    }
  }
  return {};
}

Status Engine::run_items() {
  items_.clear();
  for (std::uint32_t i = 0; i < plan_.n_items; ++i)
    items_.push_back(
        {find(running_, plan_.items[i].request), plan_.items[i].begin, plan_.items[i].end});
  TENON_ASSIGN(result_, parts_.run(items_));
  TENON_TRY(check_results());
  ++stats_.steps;
  Status committed = advance_all();
  report();
  return committed;
}

// What was computed counts, whatever a cache says to its pages.
Status Engine::advance_all() {
  const ProfileSpan span(parts_.profile, Profile::kAdvance);
  Status committed;
  for (const BatchItem& item : items_)
    if (Status status = advance(item); !status.ok()) committed = std::move(status);
  return committed;
}

// A token outside the vocabulary goes no further: logits that are no numbers give -1.
Status Engine::check_results() const {
  for (std::size_t i = 0; i < result_.rows.size(); ++i) {
    const SampledRow& row = result_.rows[i];
    const std::int32_t token = result_.results[i].token;
    if (token >= 0 && token < parts_.vocabulary) continue;
    return Error{.code = Code::kDataLoss,
                 .id = "TENON-R042",
                 .message = "the backend sampled no token of the vocabulary",
                 .where = "request " + std::to_string(row.request->id) + ", position " +
                          std::to_string(row.position),
                 .found = std::to_string(token),
                 .expected = "0 to " + std::to_string(parts_.vocabulary - 1),
                 .fix = "-1 means that the logits hold NaN or infinity: check the model file"};
  }
  return {};
}

// The frontier moves; pages that became full and valid go to the caches, pages that no later row
// reads go back.
Status Engine::advance(const BatchItem& item) {
  Request& request = *item.request;
  request.computed = item.end;
  request.last_step = stats_.steps;
  stats_.rows += static_cast<std::uint64_t>(item.end - item.begin);
  const std::int32_t full = request.computed / kPageTokens;
  make_keys(request, full);
  Status status;
  for (std::size_t pool = 0; pool < request.kv.size(); ++pool) {
    PageTable& table = request.kv[pool];
    for (; table.committed < full; ++table.committed) {
      const auto page = static_cast<std::size_t>(table.committed);
      Status committed =
          parts_.kv[pool]->commit(request.keys[page], table.pages[page], table.committed);
      if (committed.ok()) continue;
      status = std::move(committed);  // offered again with the next step
      break;
    }
  }
  drop_old_pages(request, status);
  return status;
}

// Pages that have left their pool's window; a cache may keep them.
void Engine::drop_old_pages(Request& request, Status& status) {
  for (std::size_t pool = 0; pool < request.kv.size(); ++pool) {
    PageTable& table = request.kv[pool];
    KvMemory& kv = *parts_.kv[pool];
    const std::int32_t keep = kv.first_page(request.computed);
    if (table.first >= keep) continue;
    const auto old = table.held().first(static_cast<std::size_t>(keep - table.first));
    if (Status used = kv.used(old); !used.ok()) status = std::move(used);
    for (; table.first < keep; ++table.first) {
      std::uint32_t& page = table.pages[static_cast<std::size_t>(table.first)];
      if (Status released = kv.release(page); !released.ok()) status = std::move(released);
      page = TENON_NO_PAGE;
    }
    table.committed = std::max(table.committed, table.first);  // what has left is offered no more
  }
}

void Engine::report() {
  const ProfileSpan span(parts_.profile, Profile::kReport);
  for (std::size_t i = 0; i < result_.rows.size(); ++i) {
    const SampledRow& row = result_.rows[i];
    Request& request = *row.request;
    const tenon_sample_result& result = result_.results[i];
    if (row.target < 0) {
      accept(request, result);
      continue;
    }
    request.scored = row.position;
    if (!request.spec.on_event) continue;
    request.spec.on_event(
        {.request = request.id,
         .token = result.token,
         .logprob = result.logprob,
         .prompt = true,
         .position = row.position,
         .top = std::span(result.top, static_cast<std::size_t>(request.spec.n_top))});
  }
  // A request that only scores its prompt ends without a token.
  for (const BatchItem& item : items_)
    if (item.end == item.request->limit && item.request->known() == item.request->limit &&
        item.request->spec.max_tokens == 0)
      emit_end(*item.request, FinishReason::kLength,
               {.request = item.request->id, .position = item.end});
}

// One more token of the answer.
void Engine::accept(Request& request, const tenon_sample_result& result) {
  const std::int32_t position = request.known();
  request.tokens.push_back(result.token);
  count_token(request, result.token);
  ++stats_.generated_tokens;
  TokenEvent event{.request = request.id,
                   .token = result.token,
                   .logprob = result.logprob,
                   .position = position,
                   .cached = std::max(0, request.cached),
                   .top = std::span(result.top, static_cast<std::size_t>(request.spec.n_top))};
  const bool ends = !request.spec.ignore_eos && (parts_.tokenizer->eos() == result.token ||
                                                 parts_.tokenizer->eot() == result.token);
  if (ends) return emit_end(request, FinishReason::kStop, event);
  std::string text = request.matcher.push(request.decoder->push(result.token));
  if (request.known() == request.limit && !request.matcher.stopped()) {
    text += request.matcher.push(request.decoder->finish());
    if (!request.matcher.stopped()) text += request.matcher.finish();
    event.finish = FinishReason::kLength;
  }
  if (request.matcher.stopped()) event.finish = FinishReason::kStop;
  event.text = text;
  request.finished = event.finish != FinishReason::kNone;
  if (request.spec.on_event) request.spec.on_event(event);
}

// The last event of a request: gives out what was held back.
void Engine::emit_end(Request& request, FinishReason reason, TokenEvent event) {
  std::string text = request.matcher.push(request.decoder->finish());
  if (!request.matcher.stopped()) text += request.matcher.finish();
  event.text = text;
  event.finish = reason;
  request.finished = true;
  if (request.spec.on_event) request.spec.on_event(event);
}

Status Engine::retire() {
  const ProfileSpan span(parts_.profile, Profile::kRetire);
  Status status;
  for (Queue* queue : {&waiting_, &running_}) {
    for (std::size_t i = 0; i < queue->size(); ++i) {  // a callback may submit: no iterators
      Request& request = *(*queue)[i];
      if (request.aborted && !request.finished)
        emit_end(request, FinishReason::kAborted,
                 {.request = request.id, .position = request.known()});
      if (!request.finished) continue;
      if (Status given = give_back_pages(request); !given.ok()) status = std::move(given);
    }
    std::erase_if(*queue, [](const auto& request) { return request->finished; });
  }
  return status;
}

// All of them, also when a plugin fails over one.
Status Engine::give_back_pages(Request& request) {
  Status status;
  for (std::size_t pool = 0; pool < request.kv.size(); ++pool) {
    PageTable& table = request.kv[pool];
    KvMemory& kv = *parts_.kv[pool];
    if (!table.held().empty())
      if (Status used = kv.used(table.held()); !used.ok()) status = std::move(used);
    for (; static_cast<std::int32_t>(table.pages.size()) > table.first; table.pages.pop_back())
      if (Status released = kv.release(table.pages.back()); !released.ok())
        status = std::move(released);
    table.pages.clear();
    table.first = table.committed = 0;
  }
  return status;
}

}  // namespace tenon
