// What was measured: an engine, told so that a result says what it is of and what bounds it.
#pragma once

#include <string>
#include <vector>

#include "apps/tenon/session.h"
#include "core/load/model_costs.h"

namespace tenon::app {

struct BenchFacts {
  std::string device, numerics, revision;
  unsigned threads = 1;
  ModelCosts costs;
  std::vector<KvPoolSize> pools;
  std::string json;  // all of it, with manifest, plugins and model: one object
};

// `revision`: of the tree that the binary was built from. The session was opened by `choice`.
Result<BenchFacts> facts_of(Session& session, const EngineChoice& choice,
                            const std::string& revision);
// Of BenchFacts::json of another process. TENON-A092: it is none.
Result<BenchFacts> facts_from(const std::string& json);

}  // namespace tenon::app
