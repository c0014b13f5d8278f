// A whole engine on a tiny model, with chosen plugins in its roles, and what it answers to the
// kit's requests.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/conform/test.h"
#include "core/conform/tiny_model.h"

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
  int ranks = 1;
  TinyModel::Family family = TinyModel::Family::kLlama;
  int threads = 2;
};

// What one request got.
struct TinyAnswer {
  std::vector<std::int32_t> tokens;
  std::vector<float> logprobs;
  bool operator==(const TinyAnswer&) const = default;
};

// Loads the engine and answers nine requests in three waves: greedy and sampled, short and long,
// with shared beginnings; the third wave repeats the first, so that a cache has something to give.
// With an adapter plugin every third request wears an adapter. `directories` hold the plugins.
Result<std::vector<TinyAnswer>> run_tiny(const TinyEngine& engine,
                                         const std::vector<std::string>& directories);

// How far answers are from what they should be.
struct Distance {
  bool equal = true;       // every token and bit
  double worst = 0;        // of log-probabilities, as far as the tokens are the same
  std::size_t tokens = 0;  // that are the same, from the beginning of each answer on
  std::size_t of_tokens = 0;
};
Distance distance(const std::vector<TinyAnswer>& got, const std::vector<TinyAnswer>& want);

}  // namespace tenon::conform
