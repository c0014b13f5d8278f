#include "apps/tenon/bench/facts.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/base/hash.h"

namespace tenon::app {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

ordered_json json_of(const std::vector<WeightCost>& weights) {
  ordered_json out = ordered_json::array();
  for (const WeightCost& weight : weights)
    out.push_back({{"layout", static_cast<int>(weight.layout)},
                   {"values", weight.values},
                   {"bytes", weight.bytes},
                   {"file_bytes", weight.file_bytes}});
  return out;
}

std::vector<WeightCost> weights_from(const json& list) {
  std::vector<WeightCost> out;
  for (const json& each : list)
    out.push_back({static_cast<tenon_layout>(each.at("layout").get<int>()),
                   each.at("values").get<double>(), each.at("bytes").get<double>(),
                   each.at("file_bytes").get<double>()});
  return out;
}

std::string hex(const Hash128& hash) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(hash.high),
                static_cast<unsigned long long>(hash.low));
  return text;
}

// The plugins of a manifest that has been loaded, so that nothing here is refused.
Result<ordered_json> plugins_of(Session& session) {
  ordered_json out = ordered_json::array();
  TENON_ASSIGN(const Assembly assembly, assemble(session.manifest, session.catalog));
  for (const ChosenPlugin& plugin : assembly.chosen)
    out.push_back({{"role", plugin.role},
                   {"id", plugin.file->descriptor.id},
                   {"version", plugin.file->descriptor.version},
                   {"sha256", plugin.file->sha256}});
  return out;
}

}  // namespace

Result<BenchFacts> facts_of(Session& session, const EngineChoice& choice,
                            const std::string& revision) {
  const LoadedEngine& engine = *session.engine;
  const ModelCosts costs = engine.costs();
  TENON_ASSIGN(const std::string binary, sha256_file("/proc/self/exe"));
  TENON_ASSIGN(ordered_json plugins, plugins_of(session));
  ordered_json pools = ordered_json::array();
  for (const KvPoolSize& pool : engine.kv_pools())
    pools.push_back({{"window", pool.window}, {"page_bytes", pool.page_bytes}});
  const ordered_json out = {
      {"device", engine.device()},
      {"numerics", engine.numerics()},
      {"threads", engine.threads()},
      {"ranks", engine.ranks()},
      {"revision", revision},
      {"binary_sha256", binary},
      {"manifest", session.manifest.source},
      {"manifest_hash", hex(manifest_hash(session.manifest))},
      {"model", session.model_path},
      {"plugins", std::move(plugins)},
      {"check_boundary", checks_boundary(choice, session.catalog.host())},
      {"body", json_of(costs.body)},
      {"head", json_of(costs.head)},
      {"kv", std::move(pools)},
  };
  return facts_from(out.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

Result<BenchFacts> facts_from(const std::string& text) {
  try {
    const json in = json::parse(text);
    BenchFacts out{.device = in.at("device").get<std::string>(),
                   .numerics = in.at("numerics").get<std::string>(),
                   .revision = in.at("revision").get<std::string>(),
                   .threads = in.at("threads").get<unsigned>(),
                   .costs = {weights_from(in.at("body")), weights_from(in.at("head"))},
                   .json = text};
    for (const json& pool : in.at("kv"))
      out.pools.push_back(
          {pool.at("window").get<std::int32_t>(), pool.at("page_bytes").get<std::uint64_t>(), 0});
    return out;
  } catch (const json::exception& error) {
    return Error{.code = Code::kDataLoss,
                 .id = "TENON-A092",
                 .message = "a binary that is measured does not say what this one understands",
                 .found = text.substr(0, 120),
                 .expected = "an object that says what its engine is",
                 .fix = "measure binaries whose `tenon bench` is of the same version"};
  }
}

}  // namespace tenon::app
