// What a call across the boundary costs: the plugin's function itself, the same through its table
// as the core calls it, and through the checking proxy.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "core/base/stripe_pool.h"
#include "core/iface/meter.h"
#include "core/iface/proxy.h"
#include "core/iface/tables.h"
#include "tenon/sdk/tables.hpp"

namespace tenon {
namespace {

struct Cache {
  std::uint64_t uses = 0;
  sdk::Status lookup(std::uint32_t, const tenon_cache_key*, std::uint32_t, std::uint32_t*) {
    return {};
  }
  [[gnu::noinline]] sdk::Status use(std::uint32_t, const std::uint32_t*, std::uint32_t n) {
    uses += n;
    return {};
  }
  sdk::Status commit(std::uint32_t, const tenon_cache_key*, std::uint32_t, std::int32_t,
                     std::int32_t*) {
    return {};
  }
  sdk::Status offer(std::uint32_t, tenon_page_offer*, std::uint32_t, std::uint32_t*) { return {}; }
  [[gnu::noinline]] void evicted(std::uint32_t, std::uint32_t page) { uses += page; }
};

struct Callee {
  Cache plugin;
  iface::Boundary boundary;
  std::string id = "bench";
  iface::Cache wrapper;
  explicit Callee(bool checked) {
    const tenon_cache_v1* table = &sdk::CacheTable<Cache>::table;
    benchmark::DoNotOptimize(table);  // a plugin's table is not known to the compiler
    const auto callee = iface::check_plugin(checked ? boundary.add_party(id, nullptr) : nullptr,
                                            table, reinterpret_cast<tenon_instance*>(&plugin));
    wrapper = iface::Cache(callee.table, callee.self, &id);
  }
};

void direct_status(benchmark::State& state) {
  Cache plugin;
  const std::uint32_t pages[4] = {1, 2, 3, 4};
  for (auto _ : state) {
    sdk::Status status = plugin.use(0, pages, 4);
    benchmark::DoNotOptimize(status);
  }
}

void status_call(benchmark::State& state) {
  Callee callee(state.range(0) != 0);
  const std::uint32_t pages[4] = {1, 2, 3, 4};
  for (auto _ : state) {
    Status status = callee.wrapper.use(0, pages, 4);
    benchmark::DoNotOptimize(status);
  }
}

void direct_void(benchmark::State& state) {
  Cache plugin;
  for (auto _ : state) {
    plugin.evicted(0, 1);
    benchmark::DoNotOptimize(plugin.uses);
  }
}

void void_call(benchmark::State& state) {
  Callee callee(state.range(0) != 0);
  for (auto _ : state) {
    callee.wrapper.evicted(0, 1);
    benchmark::DoNotOptimize(callee.plugin.uses);
  }
}

// With a profile, inside a step, with a stream beside it that is empty.
void timed_call(benchmark::State& state) {
  Callee callee(false);
  Profile profile(false);
  StripePool pool(1);
  profile.watch(&pool);
  iface::Meter meter(&profile);
  const auto timed = meter.plugin<tenon_cache_v1>(
      callee.id,
      {&sdk::CacheTable<Cache>::table, reinterpret_cast<tenon_instance*>(&callee.plugin)});
  const iface::Cache wrapper(timed.table, timed.self, &callee.id);
  const std::uint32_t pages[4] = {1, 2, 3, 4};
  profile.begin_step();
  for (auto _ : state) {
    Status status = wrapper.use(0, pages, 4);
    benchmark::DoNotOptimize(status);
  }
  profile.end_step(false);
}

// A command through the stream; with a profile it is noted when it runs.
void command(benchmark::State& state) {
  Profile profile(false);
  StripePool pool(1);
  if (state.range(0) != 0) profile.watch(&pool);
  profile.begin_step();
  for (auto _ : state) {
    pool.submit([](const void*, std::uint32_t, std::uint32_t, std::uint32_t) {}, nullptr, 0, 1);
    pool.wait();
  }
  profile.end_step(false);
}

BENCHMARK(direct_void);
BENCHMARK(void_call)->ArgName("checked")->Arg(0)->Arg(1);
BENCHMARK(direct_status);
BENCHMARK(status_call)->ArgName("checked")->Arg(0)->Arg(1);
BENCHMARK(timed_call);
BENCHMARK(command)->ArgName("profiled")->Arg(0)->Arg(1);

}  // namespace
}  // namespace tenon

int main(int argc, char** argv) {
  std::string json = "--benchmark_format=json";
  std::vector<char*> args(argv, argv + argc);
  args.insert(args.begin() + 1, json.data());
  int count = static_cast<int>(args.size());
  benchmark::Initialize(&count, args.data());
  benchmark::RunSpecifiedBenchmarks();
}
