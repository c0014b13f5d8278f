// One measurement of one engine: what is measured, and what one round of it gives.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "core/load/loaded_engine.h"

namespace tenon::app {

// `depth` tokens of each of `batch` sequences are put into the cache; then, timed, `prompt` tokens
// of each are read and `gen` generated.
struct BenchCell {
  std::int64_t prompt = 512, gen = 128, depth = 0, batch = 1;
  bool operator==(const BenchCell&) const = default;
};

// Times are seconds; tokens are of the whole batch.
struct BenchRound {
  std::int64_t prefill_tokens = 0, decode_tokens = 0;
  double prefill_time = 0;   // until every sequence has its first token
  double decode_time = 0;    // from then on
  std::int64_t spared = 0;   // tokens of one sequence that the cache gave, the fewest of all
  std::vector<double> gaps;  // between tokens of a sequence, all of them pooled

  double prefill_rate() const { return rate(prefill_tokens, prefill_time); }
  double decode_rate() const { return rate(decode_tokens, decode_time); }

 private:
  static double rate(std::int64_t tokens, double time) {
    return tokens > 0 && time > 0 ? static_cast<double>(tokens) / time : 0;
  }
};

// Pages that the cells need: room for every sequence at once, beside what the caches keep of the
// depth.
std::int64_t pages_needed(const std::vector<BenchCell>& cells);

class CellBench {
 public:
  // Sequences take the adapters in turn. The engine outlives this.
  CellBench(LoadedEngine& loaded, std::vector<std::string> adapters);

  // Random tokens follow from `seed`; rounds of different seeds share nothing that a cache keeps.
  // Errors are the engine's; TENON-A017: interrupted.
  Result<BenchRound> measure(const BenchCell& cell, std::uint64_t seed);

 private:
  std::vector<std::int32_t> random_ids(std::int64_t count);
  RequestSpec request(std::vector<std::int32_t> prompt, std::int64_t max_tokens,
                      std::int64_t sequence) const;
  Status run(std::vector<RequestSpec> specs);
  Result<std::vector<RequestSpec>> fill(const BenchCell& cell);

  Engine& engine_;
  std::vector<std::string> adapters_;
  std::vector<std::int32_t> normal_;  // tokens that stand for text
  std::mt19937_64 random_;
};

}  // namespace tenon::app
