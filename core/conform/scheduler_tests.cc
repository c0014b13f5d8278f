// Schedulers: every plan legal, every request served, whatever comes.
#include <cstring>

#include "core/conform/plain_plugins.h"
#include "core/conform/random_params.h"
#include "core/conform/random_trace.h"
#include "core/conform/recorded_view.h"
#include "core/conform/rig.h"
#include "core/runtime/plan_check.h"

namespace tenon::conform {
namespace {

// The plugin with some of its parameters drawn, so that not only its defaults are seen.
Result<std::unique_ptr<Rig>> open_random(const Subject& s, std::mt19937_64& random) {
  for (int tries = 0; tries < 20; ++tries) {
    Rig::Options options{.params = random_params(s.descriptor(), random)};
    if (!s.resolve(options.params).ok()) continue;  // a rule of the descriptor
    return Rig::open(s, std::move(options));
  }
  return Rig::open(s);
}

Result<iface::Scheduler> scheduler_of(const Rig& rig) {
  return rig.as<iface::Scheduler, tenon_scheduler_v1>(TENON_SCHEDULER_ID);
}

Error in_trace(Error error, std::uint64_t seed) {
  error.message += " (trace of seed " + std::to_string(seed) + ")";
  return error;
}

// Runs one random trace; `change` makes it a special one.
Status trace(const Subject& s, std::uint64_t seed, bool random_parameters,
             const std::function<void(RandomTrace&)>& change = {},
             const SimulatedEngine::PlanObserver& observe = {}) {
  std::mt19937_64 choice(seed);
  TENON_ASSIGN(const auto rig, random_parameters ? open_random(s, choice) : Rig::open(s));
  TENON_ASSIGN(const iface::Scheduler scheduler, scheduler_of(*rig));
  std::mt19937 random(static_cast<std::uint32_t>(seed));
  RandomTrace made(random);
  if (change) change(made);
  PlainCache cache;
  std::vector<iface::Cache> caches;
  if (made.prefix_cache) caches.push_back(cache.wrapped());
  SimulatedEngine engine(made.pools, scheduler, caches);
  if (observe) engine.observe_plans(observe);
  const auto steps = run_trace(engine, made);
  if (!steps.ok()) return in_trace(steps.error(), seed);
  return {};
}

Finding many_traces(const Subject& s, int count, bool random_parameters,
                    const std::function<void(RandomTrace&)>& change = {}) {
  for (int i = 0; i < count * s.effort; ++i)
    TENON_TRY(trace(s, s.seed + static_cast<std::uint64_t>(i), random_parameters, change));
  return passed();
}

Finding traces(const Subject& s) { return many_traces(s, 10000, false); }
Finding traces_of_parameters(const Subject& s) { return many_traces(s, 1000, true); }

Finding windows(const Subject& s) {
  return many_traces(s, 500, false, [](RandomTrace& t) {
    t.pools.window = 65;
    t.pools.window_pages = 5;
  });
}

Finding few_pages(const Subject& s) {
  return many_traces(s, 500, false, [](RandomTrace& t) {
    std::int32_t most = 0;
    for (const TraceRequest& r : t.requests)
      most = std::max(most, pages_for_tokens(static_cast<std::int32_t>(r.spec.prompt.size()) +
                                             r.spec.max_tokens));
    t.pools.pages = static_cast<std::uint32_t>(most + 1);
    t.pools.window = 0;
  });
}

Finding aborts(const Subject& s) {
  return many_traces(s, 500, false, [](RandomTrace& t) {
    for (std::size_t i = 0; i < t.requests.size(); ++i)
      t.requests[i].abort = t.requests[i].arrival + 1 + i % 3;
  });
}

Finding one_token_prompts(const Subject& s) {
  return many_traces(s, 300, false, [](RandomTrace& t) {
    for (TraceRequest& r : t.requests) r.spec.prompt.resize(1);
  });
}

// Some hundred requests at once.
Finding crowd(const Subject& s) {
  return many_traces(s, 3, false, [](RandomTrace& t) {
    const std::vector<TraceRequest> few = t.requests;
    while (t.requests.size() < 300) {
      TraceRequest more = few[t.requests.size() % few.size()];
      more.arrival = 0;
      more.abort = 0;
      t.requests.push_back(more);
    }
    std::stable_sort(t.requests.begin(), t.requests.end(),
                     [](const auto& a, const auto& b) { return a.arrival < b.arrival; });
    t.pools.pages += 400;
    t.step_bound *= 100;
  });
}

// The views and plans of a trace.
struct Recording {
  std::vector<RecordedView> views;
  std::vector<OwnedPlan> plans;
};
Result<Recording> record(const Subject& s, std::uint64_t seed) {
  Recording out;
  TENON_TRY(trace(s, seed, false, {}, [&](const tenon_schedule_view& view, const tenon_plan& plan) {
    out.views.emplace_back(view);
    OwnedPlan copy(plan.max_items, plan.max_preempt);
    std::copy_n(plan.items, plan.n_items, copy.items.begin());
    std::copy_n(plan.preempt, plan.n_preempt, copy.preempt.begin());
    copy.plan.n_items = plan.n_items;
    copy.plan.n_preempt = plan.n_preempt;
    out.plans.push_back(std::move(copy));
  }));
  return out;
}

// Views as they come up under the kit's own scheduler, for tests that ask the plugin by themselves.
std::vector<RecordedView> plain_views(std::uint64_t seed) {
  std::vector<RecordedView> out;
  std::mt19937 random(static_cast<std::uint32_t>(seed));
  RandomTrace made(random);
  PlainScheduler scheduler;
  SimulatedEngine engine(made.pools, scheduler.wrapped(), {});
  engine.observe_plans(
      [&](const tenon_schedule_view& view, const tenon_plan&) { out.emplace_back(view); });
  (void)run_trace(engine, made);
  return out;
}

Finding same_again(const Subject& s) {
  for (std::uint64_t i = 0; i < 50; ++i) {
    TENON_ASSIGN(const Recording first, record(s, s.seed + i));
    TENON_ASSIGN(const Recording second, record(s, s.seed + i));
    if (first.plans.size() != second.plans.size())
      return failed("the same trace takes another number of steps the second time (seed " +
                    std::to_string(s.seed + i) + ")");
    for (std::size_t step = 0; step < first.plans.size(); ++step)
      if (first.plans[step].text() != second.plans[step].text())
        return failed("step " + std::to_string(step) + " of the trace of seed " +
                      std::to_string(s.seed + i) + ": first " + first.plans[step].text() +
                      ", then " + second.plans[step].text());
  }
  return passed();
}

// A function of the view: what was asked before does not matter, so that a plan can be replayed.
Finding of_the_view(const Subject& s) {
  for (std::uint64_t i = 0; i < 30; ++i) {
    TENON_ASSIGN(const Recording recorded, record(s, s.seed + i));
    TENON_ASSIGN(const auto rig, Rig::open(s));
    TENON_ASSIGN(const iface::Scheduler scheduler, scheduler_of(*rig));
    for (std::size_t step = recorded.views.size(); step-- > 0;) {
      const OwnedPlan& want = recorded.plans[step];
      OwnedPlan again(want.plan.max_items, want.plan.max_preempt);
      TENON_TRY(scheduler.plan(&recorded.views[step].view, &again.plan));
      if (again.text() != want.text())
        return failed("the plan depends on what was asked before: step " + std::to_string(step) +
                      " of the trace of seed " + std::to_string(s.seed + i) + " gives " +
                      want.text() + " in turn and " + again.text() + " by itself");
    }
  }
  return passed();
}

Finding nothing_to_do(const Subject& s) {
  TENON_ASSIGN(const auto rig, Rig::open(s));
  TENON_ASSIGN(const iface::Scheduler scheduler, scheduler_of(*rig));
  const tenon_pool_view pool{10, 0, 10, 0};
  tenon_schedule_view view{};
  view.hdr = {sizeof view, 0, nullptr};
  view.pools = &pool;
  view.n_pools = 1;
  view.page_tokens = 64;
  OwnedPlan plan(8, 8);
  plan.plan.n_items = plan.plan.n_preempt = 7;  // what was there before
  TENON_TRY(scheduler.plan(&view, &plan.plan));
  if (plan.plan.n_items != 0 || plan.plan.n_preempt != 0)
    return failed("without requests the plan is not empty: " + plan.text());
  return passed();
}

Finding keeps_room(const Subject& s) {
  for (std::uint64_t i = 0; i < 30; ++i) {
    // Without the proxy, which gives a plan room of its own.
    TENON_ASSIGN(const auto rig, Rig::open(s, {.checked = false}));
    TENON_ASSIGN(const iface::Scheduler scheduler, scheduler_of(*rig));
    for (const RecordedView& view : plain_views(s.seed + i)) {
      // The core gives room for every request; never more is needed.
      OwnedPlan plan(view.requests(), view.view.n_running);
      TENON_TRY(scheduler.plan(&view.view, &plan.plan));
      if (!plan.wall_stands()) return failed("writes beyond the room that the plan has");
    }
  }
  return passed();
}

Finding leaves_the_view(const Subject& s) {
  TENON_ASSIGN(const auto rig, Rig::open(s, {.checked = false}));
  TENON_ASSIGN(const iface::Scheduler scheduler, scheduler_of(*rig));
  const auto same = [](const auto& a, const auto& b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0;
  };
  for (const RecordedView& view : plain_views(s.seed)) {
    const auto waiting = view.waiting, running = view.running;
    const auto pools = view.pools;
    OwnedPlan plan(view.requests(), view.view.n_running);
    TENON_TRY(scheduler.plan(&view.view, &plan.plan));
    if (!same(waiting, view.waiting) || !same(running, view.running) || !same(pools, view.pools))
      return failed("changes the view, which belongs to the core");
  }
  return passed();
}

// One sequence decodes while a prompt comes in every step. Whoever runs prompts first must stop
// when the pages are gone; nobody may forget the one that decodes.
Finding decodes_go_on(const Subject& s) {
  std::uint64_t idle = 0, decoding = 0;
  constexpr std::uint32_t kPages = 120;
  const auto change = [](RandomTrace& t) {
    TraceRequest first = t.requests.front();
    first.arrival = first.abort = 0;
    first.spec.prompt.resize(10, 1);
    first.spec.max_tokens = 200;
    t.requests = {first};
    for (std::uint64_t i = 1; i <= 300; ++i) {
      TraceRequest next = first;
      next.arrival = i;
      next.spec.prompt.assign(64, static_cast<std::int32_t>(i % 250));
      next.spec.max_tokens = 2;
      t.requests.push_back(next);
    }
    t.pools = {.pages = kPages};
    t.prefix_cache = false;
    t.step_bound = 100000;
  };
  const auto observe = [&](const tenon_schedule_view& view, const tenon_plan&) {
    for (std::uint32_t i = 0; i < view.n_running; ++i) {
      const tenon_request_view& r = view.running[i];
      if (r.prompt != 10) continue;
      idle = std::max<std::uint64_t>(idle, static_cast<std::uint64_t>(r.idle));
      ++decoding;
    }
  };
  TENON_TRY(trace(s, s.seed, false, change, observe));
  if (decoding == 0) return failed("the first request never ran");
  if (idle > kPages + 16)
    return failed("a sequence that decodes waited " + std::to_string(idle) +
                  " steps while prompts came");
  return passed();
}

// Alone, a request runs in every step.
Finding alone(const Subject& s) {
  bool idle = false;
  const auto change = [](RandomTrace& t) {
    t.requests.resize(1);
    t.requests[0].arrival = t.requests[0].abort = 0;
    t.requests[0].spec.max_tokens = 80;
    t.pools = {.pages = 40};
    t.step_bound = 4000;
  };
  for (std::uint64_t i = 0; i < 100; ++i)
    TENON_TRY(trace(s, s.seed + i, false, change,
                    [&](const tenon_schedule_view& view, const tenon_plan& plan) {
                      idle = idle || (view.n_waiting + view.n_running > 0 && plan.n_items == 0);
                    }));
  return idle ? failed("an empty plan, although the only request could run") : passed();
}

constexpr Test kTests[] = {
    {"scheduler.traces", "Ten thousand random traces: every plan legal, every answer right.",
     "scheduler", traces},
    {"scheduler.parameters", "The same with random parameters.", "scheduler", traces_of_parameters},
    {"scheduler.windows", "The same with a pool whose sequences keep a window.", "scheduler",
     windows},
    {"scheduler.few-pages", "The same with pages for one sequence.", "scheduler", few_pages},
    {"scheduler.aborts", "The same when every request is aborted.", "scheduler", aborts},
    {"scheduler.short-prompts", "The same with prompts of one token.", "scheduler",
     one_token_prompts},
    {"scheduler.crowd", "The same with three hundred requests.", "scheduler", crowd},
    {"scheduler.nothing", "Without requests the plan is empty.", "scheduler", nothing_to_do},
    {"scheduler.alone", "A request that is alone runs in every step.", "scheduler", alone},
    {"scheduler.decodes", "A sequence that decodes goes on while prompts come.", "scheduler",
     decodes_go_on},
    {"scheduler.room", "A plan stays within its room.", "scheduler", keeps_room},
    {"scheduler.view", "The view stays as it is.", "scheduler", leaves_the_view},
    {"determinism.trace", "The same trace gives the same plans.", "scheduler", same_again},
    {"determinism.view", "A plan is a function of the view.", "scheduler", of_the_view},
};

}  // namespace

std::span<const Test> scheduler_tests() { return kTests; }

}  // namespace tenon::conform
