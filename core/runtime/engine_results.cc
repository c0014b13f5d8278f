// What a step has done: results into requests, pages back, ends told.
#include <algorithm>

#include "core/runtime/engine.h"

namespace tenon {

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
