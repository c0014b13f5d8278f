// The engine: live requests, the step loop, and everything that a manifest has assembled.
// core/README.md is the contract of a step.
//
// One thread owns an Engine and calls it; work inside a step spreads over the engine's stripe pool.
// Nothing here chooses: the scheduler plugin plans, the cache plugins value, the backend computes.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/adapter/adapter_set.h"
#include "core/base/error.h"
#include "core/base/profile.h"
#include "core/memory/kv_memory.h"
#include "core/runtime/step.h"

namespace tenon {

struct EngineStats {
  std::uint64_t steps = 0;
  std::uint64_t rows = 0;  // tokens computed
  std::uint64_t generated_tokens = 0;
  std::uint64_t prefix_hit_tokens = 0;  // prompt tokens that a cache spared
  std::uint64_t preemptions = 0;
};

// What the step loop works with. The owner (core/load/loaded_engine.h) outlives the engine.
struct EngineParts {
  std::int32_t vocabulary = 0;  // tokens are 0 to vocabulary - 1
  const Tokenizer* tokenizer = nullptr;
  iface::Scheduler scheduler;
  StepRunner run;
  std::vector<KvMemory*> kv;  // one per page pool
  std::int32_t context = 0;   // tokens of the longest sequence
  Hash128 cache_seed;         // identity of everything that KV depends on but a request's adapter
  AdapterSet* adapters = nullptr;  // null: the manifest has no adapter plugin
  Profile* profile = nullptr;      // null: nothing is measured
};

class Engine {
 public:
  explicit Engine(EngineParts parts) : parts_(std::move(parts)) {}

  // Queues a request and gives its id. Refused by name: an empty prompt (TENON-R034), one longer
  // than the context (R030), one that the page pool cannot hold even alone (R031), a token outside
  // the vocabulary (R035), a sampling value out of range (R036), an adapter that is not loaded
  // (D003) or cannot be, without a plugin for adapters (D004).
  Result<std::uint64_t> submit(RequestSpec spec);

  // Ends a request at the next step boundary with FinishReason::kAborted; unknown ids are ignored.
  // May be called from on_event, as submit() may.
  void abort(std::uint64_t id);

  // Runs one plan. False when no request is live. After an error all requests are live with the
  // tokens that they had; only an error of a cache over computed pages comes after their events.
  Result<bool> step();
  // Steps until no request is live.
  Status run();

  // The request holds pages. False while it waits, first or again, and for one that has ended.
  bool is_running(std::uint64_t id) const;
  std::size_t live() const { return waiting_.size() + running_.size(); }
  const EngineStats& stats() const { return stats_; }

 private:
  using Queue = std::vector<std::unique_ptr<Request>>;  // in the order of arrival
  Result<bool> run_step();
  Status check(const RequestSpec& spec) const;
  Status check_sampling(const RequestSpec& spec) const;
  Status bind_adapter(Request& request, const RequestSpec& spec);
  void make_keys(Request& request, std::int32_t n_pages);
  Status look_up(Request& request);
  bool restorable(const Request& request, std::size_t n_pages, std::size_t& next) const;
  Status build_view();
  tenon_request_view view_of(const Request& request);
  void drop_old_pages(Request& request, Status& status);
  Status make_plan();
  Status preempt(std::uint64_t id);
  Status start(std::uint64_t id);
  Status reserve_pages(const tenon_plan_item& item);
  Status run_items();
  Status check_results() const;
  Status take_pages();
  Status advance_all();
  Status advance(const BatchItem& item);
  void report();
  void accept(Request& request, const tenon_sample_result& result);
  void emit_end(Request& request, FinishReason reason, TokenEvent event);
  Status retire();
  Status give_back_pages(Request& request);
  Request* find(Queue& queue, std::uint64_t id);

  EngineParts parts_;
  Queue waiting_, running_;
  std::uint64_t next_id_ = 1;
  EngineStats stats_;

  // The running step. Reused from step to step.
  std::vector<tenon_request_view> waiting_views_, running_views_;
  std::vector<tenon_request_pages> page_views_;  // of all views, one per pool each
  std::vector<tenon_pool_view> pool_views_;
  std::vector<tenon_plan_item> plan_items_;
  std::vector<std::uint64_t> plan_preempt_;
  tenon_schedule_view view_{};
  tenon_plan plan_{};
  std::vector<BatchItem> items_;
  StepResult result_;
};

}  // namespace tenon
