// What the verdict on a manifest costs: ten roles of the tree's plugins, and random contracts of
// ten and of twenty roles. Nothing is opened.
#include <benchmark/benchmark.h>

#include <random>

#include "core/load/loaded_engine.h"
#include "core/plugin/assembly.h"
#include "core/plugin/vocabulary.h"

namespace tenon {
namespace {

constexpr const char* kTenRoles =
    "model { name: \"m\" } network { plugin: \"tenon.model.decoder\" } "
    "backend { plugin: \"tenon.backend.cpu\" } attention { plugin: \"tenon.attention.dense\" } "
    "scheduler { plugin: \"tenon.scheduler.sarathi-serve\" } "
    "cache { plugin: \"tenon.cache.prefix\" } cache { plugin: \"tenon.cache.prefix\" } "
    "cache { plugin: \"tenon.cache.prefix\" } adapter { plugin: \"tenon.adapter.lora\" } "
    "tp { plugin: \"tenon.parallelism.tp\" } comm { plugin: \"tenon.comm.inproc\" } "
    "engine { ranks: 3 }";

void verdict_of_ten_roles(benchmark::State& state) {
  PluginCatalog catalog;
  if (!add_builtin_plugins(catalog).ok() ||
      !catalog.add_directory(TENON_BINARY_DIR "/plugins").ok())
    return state.SkipWithError("no plugins");
  const auto manifest = parse_manifest(kTenRoles, "ten.textproto");
  for (auto _ : state) {
    const auto assembly = assemble(*manifest, catalog);
    if (!assembly.ok() || assembly->verdict.standing() != Standing::kOk)
      return state.SkipWithError("no verdict");
    benchmark::DoNotOptimize(assembly->verdict);
  }
}
BENCHMARK(verdict_of_ten_roles)->Unit(benchmark::kMicrosecond);

// Four claims a role over all tokens, so that nearly every pair has something to say.
std::vector<Contract> random_contracts(std::size_t roles, std::mt19937& random) {
  std::vector<Contract> out;
  for (std::size_t i = 0; i < roles; ++i) {
    Contract contract{.role = "role", .kind = plugin_kinds()[random() % plugin_kinds().size()]};
    while (contract.claims.size() < 4) {
      const VocabularyToken& token = vocabulary()[random() % vocabulary().size()];
      ContractClaim claim{.field = static_cast<ClaimField>(random() % 3),
                          .claim = {.token = std::string(token.name)}};
      if (claim.field == ClaimField::kProvides && !token.may_provide(contract.kind)) continue;
      if (!token.values.front().empty())
        claim.claim.values = {std::string(token.values[random() % 2])};
      contract.claims.push_back(std::move(claim));
    }
    out.push_back(std::move(contract));
  }
  return out;
}

void solve_random(benchmark::State& state) {
  std::mt19937 random(1);
  std::vector<std::vector<Contract>> all;
  for (int i = 0; i < 64; ++i)
    all.push_back(random_contracts(static_cast<std::size_t>(state.range(0)), random));
  std::size_t at = 0, conflicts = 0;
  for (auto _ : state)
    conflicts += solve(all[at++ % all.size()], host_offer().provided).conflicts.size();
  state.counters["conflicts"] =
      benchmark::Counter(static_cast<double>(conflicts), benchmark::Counter::kAvgIterations);
}
BENCHMARK(solve_random)->Arg(10)->Arg(20)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace tenon

int main(int argc, char** argv) {
  std::vector<char*> arguments(argv, argv + argc);
  std::string json = "--benchmark_format=json";
  arguments.insert(arguments.begin() + 1, json.data());
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
