// The real engine and the real page memory over a model that is a hash, so that a hundred thousand
// traces are cheap. A "KV entry" is the hash of its token and of everything before it; a step
// checks that every page that it reads holds the entries of its own sequence, and the next token is
// a hash of the last entry: whatever a scheduler, a preemption or a shared page does wrong to the
// order of tokens or to the pages changes an answer or fails the step.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/conform/null_backend.h"
#include "core/conform/synthetic_vocabulary.h"
#include "core/runtime/engine.h"

namespace tenon::conform {

struct SimulatedPools {
  std::uint32_t pages = 40;
  std::int32_t context = 8192;
  // A second pool, as models with window layers have, whose sequences keep their last so many
  // tokens; 0: none.
  std::int32_t window = 0;
  std::uint32_t window_pages = 0;
};

class SimulatedEngine {
 public:
  using PlanObserver = std::function<void(const tenon_schedule_view&, const tenon_plan&)>;

  // The plugins outlive the engine.
  SimulatedEngine(const SimulatedPools& choice, iface::Scheduler scheduler,
                  const std::vector<iface::Cache>& caches) {
    planner_.inner = scheduler;
    std::vector<KvMemory*> pools;
    add_pool(choice.pages, 0, caches, pools);
    if (choice.window > 0) add_pool(choice.window_pages, choice.window, caches, pools);
    engine_.emplace(EngineParts{
        kVocabulary,
        &tokenizer(),
        iface::Scheduler(&sdk::SchedulerTable<Planner>::table, handle(planner_), nullptr),
        [this](std::span<const BatchItem> items) { return run(items); },
        std::move(pools),
        choice.context,
        {}});
  }
  SimulatedEngine(const SimulatedEngine&) = delete;
  SimulatedEngine& operator=(const SimulatedEngine&) = delete;

  Engine& engine() { return *engine_; }
  // Called with each plan, before the core checks it.
  void observe_plans(PlanObserver observer) { planner_.observer = std::move(observer); }

  // What a request gets, whoever shares its steps.
  static std::vector<std::int32_t> answer_of(const RequestSpec& spec) {
    std::vector<std::int32_t> out;
    std::uint64_t entry = 1;
    for (const std::int32_t token : spec.prompt)
      entry = mix(entry, static_cast<std::uint64_t>(token));
    while (static_cast<std::int32_t>(out.size()) < spec.max_tokens) {
      out.push_back(next_token(entry, spec));
      entry = mix(entry, static_cast<std::uint64_t>(out.back()));
    }
    return out;
  }

  // Nothing is live, and every page is free or a cache's alone.
  bool is_empty() const {
    return engine_->live() == 0 && std::all_of(kv_.begin(), kv_.end(), [](const KvMemory& kv) {
             return kv.pool().free() + kv.pool().evictable() == kv.pool().size();
           });
  }

 private:
  static constexpr std::int32_t kVocabulary = 250;
  static constexpr std::uint64_t kPoison = ~std::uint64_t{0};

  // What the pages of one pool hold.
  struct Memory : NullBackend {
    explicit Memory(std::uint32_t pages) : entries(pages * std::size_t{kPageTokens}, kPoison) {}
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    std::uint64_t* page(std::uint32_t index) {
      return entries.data() + index * std::size_t{kPageTokens};
    }
    sdk::Status kv_copy_page(uint32_t, uint32_t from, uint32_t to) {
      std::copy_n(page(from), kPageTokens, page(to));
      return {};
    }
    sdk::Status kv_poison_page(uint32_t, uint32_t index) {
      std::fill_n(page(index), kPageTokens, kPoison);
      return {};
    }
    std::vector<std::uint64_t> entries;
  };

  struct Planner {
    iface::Scheduler inner;
    PlanObserver observer;
    sdk::Status plan(const tenon_schedule_view* view, tenon_plan* out) {
      const Status status = inner.plan(view, out);
      if (!status.ok())
        return {static_cast<tenon_status>(status.error().code), status.error().to_string()};
      if (observer) observer(*view, *out);
      return {};
    }
  };

  template <class T>
  static tenon_instance* handle(T& object) {
    return reinterpret_cast<tenon_instance*>(&object);
  }

  static const Tokenizer& tokenizer() {
    static const Result<Tokenizer> made = SyntheticVocabulary().build();
    return *made;
  }

  static std::uint64_t mix(std::uint64_t before, std::uint64_t value) {
    const std::uint64_t x = (before ^ value) * 0x9E3779B97F4A7C15u;
    return x ^ (x >> 29);
  }

  static std::int32_t next_token(std::uint64_t entry, const RequestSpec& spec) {
    return static_cast<std::int32_t>((mix(entry, spec.sampling.seed) >> 32) % kVocabulary);
  }

  // Writes the entry of a token of the step, or compares that of one before it as far as a row from
  // `begin` on still reads it.
  bool touch(Request& request, std::size_t pool, std::int32_t token, std::int32_t begin,
             std::uint64_t entry) {
    const std::int32_t page = token / kPageTokens;
    if (page < kv_[pool].first_page(begin)) return true;
    std::uint64_t& kept = memory_[pool].page(
        request.kv[pool].pages[static_cast<std::size_t>(page)])[token % kPageTokens];
    if (token >= begin) kept = entry;
    return kept == entry;
  }

  Result<StepResult> run(std::span<const BatchItem> items) {
    rows_.clear();
    results_.clear();
    for (const BatchItem& item : items) {
      Request& request = *item.request;
      std::uint64_t entry = 1;
      for (std::int32_t t = 0; t < item.end; ++t) {
        entry = mix(entry, static_cast<std::uint64_t>(request.tokens[static_cast<std::size_t>(t)]));
        for (std::size_t pool = 0; pool < kv_.size(); ++pool)
          if (!touch(request, pool, t, item.begin, entry))
            return Error{.code = Code::kInternal,
                         .id = "SIMULATED",
                         .message = "a page does not hold its sequence",
                         .where = "request " + std::to_string(request.id) + ", pool " +
                                  std::to_string(pool) + ", token " + std::to_string(t)};
      }
      append_sampled_rows(item, rows_);
      while (results_.size() < rows_.size())
        results_.push_back({next_token(entry, request.spec), -1.0f, nullptr});
    }
    return StepResult{rows_, results_};
  }

  void add_pool(std::uint32_t pages, std::int32_t window, const std::vector<iface::Cache>& caches,
                std::vector<KvMemory*>& out) {
    Memory& memory = memory_.emplace_back(pages);
    KvMemory::Options options;
    options.spec = static_cast<std::uint32_t>(kv_.size());
    options.window = window;
    options.n_pages = pages;
    options.poison_free_pages = true;
    out.push_back(&kv_.emplace_back(
        options,
        std::vector{iface::Backend(&sdk::BackendTable<Memory>::table, handle(memory), nullptr)},
        caches));
  }

  Planner planner_;
  std::deque<Memory> memory_;  // of each pool
  std::deque<KvMemory> kv_;
  std::vector<SampledRow> rows_;
  std::vector<tenon_sample_result> results_;
  std::optional<Engine> engine_;
};

}  // namespace tenon::conform
