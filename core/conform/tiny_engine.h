// A whole engine on a tiny model, with chosen plugins in its roles, and what it answers to the
// kit's requests.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/conform/tiny_model.h"
#include "core/load/loaded_engine.h"

namespace tenon::conform {

struct TinyPlugin {
  std::string id;
  std::string library;  // a path; empty: found in the directories
  std::vector<ManifestParam> params;
};

struct TinyEngine {
  // By role: network, backend, attention, scheduler, cache, adapter, tp, comm. Without an entry:
  // the tree's own for the first four, nothing for the others.
  std::map<std::string, TinyPlugin> roles;
  std::optional<TinyPlugin> second_cache;  // asked after the one in `roles`
  int ranks = 1;
  TinyModel::Family family = TinyModel::Family::kLlama;
  int threads = 2;

  // Puts a plugin of this kind in its role, with what the role needs beside it; a second cache
  // follows the first.
  void put(const std::string& kind, TinyPlugin plugin);
};

// What one request got.
struct TinyAnswer {
  std::vector<std::int32_t> tokens;
  std::vector<float> logprobs;
  bool operator==(const TinyAnswer&) const = default;
};

// The manifest of such an engine; with an adapter plugin it names an adapter, which only the
// Llama-shaped model can wear.
Result<Manifest> tiny_manifest(const TinyEngine& engine);

Result<std::unique_ptr<LoadedEngine>> load_tiny(const TinyEngine& engine, PluginCatalog& catalog,
                                                const LoadOptions& options = {});

// Answers nine requests in three waves: greedy and sampled, short and long,
// with shared beginnings; the third wave repeats the first, so that a cache has something to give.
// With an adapter plugin every third request wears an adapter.
Result<std::vector<TinyAnswer>> answer_tiny(LoadedEngine& engine);

// Both. `directories` hold the plugins.
Result<std::vector<TinyAnswer>> run_tiny(const TinyEngine& engine,
                                         const std::vector<std::string>& directories);

}  // namespace tenon::conform
