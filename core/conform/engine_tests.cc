// The plugin in a whole engine on a tiny model, beside the tree's own plugins in the other roles
// and the reference backend: it runs, it equals its oracle as its numerics class says, and its
// answers are the same again.
#include "core/conform/tiny_engine.h"
#include "core/conform/tiny_oracle.h"

namespace tenon::conform {
namespace {

using Family = TinyModel::Family;

// An engine with the plugin in it, and what its role needs beside it.
TinyEngine with(const Subject& s, Family family) {
  TinyEngine out{.family = family};
  TinyPlugin own{s.descriptor().id, s.file.path, s.params};
  const auto resolved = s.resolve();
  if (resolved.ok()) {
    own.params.clear();
    for (const ResolvedParam& param : resolved->values())
      own.params.push_back({param.key, param.value, "kit"});
  }
  out.put(s.descriptor().kind, std::move(own));
  return out;
}

Finding against_oracle(const Subject& s, Family family) {
  const std::string& kind = s.descriptor().kind;
  const auto got = run_tiny(with(s, family), s.directories);
  if (!got.ok()) {
    // A network that is made for other files says so.
    if (kind == "model" && got.error().code != Code::kInternal)
      return skipped("does not load the kit's model: " + got.error().to_string());
    return Finding(got.error());
  }
  const auto want = run_tiny({.family = family}, s.directories);
  if (!want.ok())
    return skipped("the tree's own plugins are not here (--plugins): " + want.error().to_string());
  return compare_with_oracle(s.descriptor(), *got, *want);
}

Finding llama(const Subject& s) { return against_oracle(s, Family::kLlama); }
Finding gemma(const Subject& s) {
  if (s.descriptor().kind == "adapter") return skipped("the kit's adapter is for the other model");
  return against_oracle(s, Family::kGemma);
}

Finding again(const Subject& s) {
  const auto first = run_tiny(with(s, Family::kLlama), s.directories);
  if (!first.ok()) return skipped(first.error().to_string());
  const auto second = run_tiny(with(s, Family::kLlama), s.directories);
  if (!second.ok()) return Finding(second.error());
  const Distance far = distance(*second, *first);
  return far.equal ? passed() : failed("a second run: " + distance_text(far));
}

Finding threads(const Subject& s) {
  TinyEngine engine = with(s, Family::kLlama);
  engine.threads = 1;
  const auto one = run_tiny(engine, s.directories);
  if (!one.ok()) return skipped(one.error().to_string());
  engine.threads = 3;
  const auto three = run_tiny(engine, s.directories);
  if (!three.ok()) return Finding(three.error());
  const Distance far = distance(*three, *one);
  return far.equal ? passed() : failed("three threads against one: " + distance_text(far));
}

constexpr Test kTests[] = {
    {"engine.oracle", "In an engine it equals its oracle as its class says.", nullptr, llama},
    {"engine.windows", "The same on a model with window layers.", nullptr, gemma},
    {"determinism.engine", "The same requests get the same bits again.", nullptr, again},
    {"determinism.threads", "Bits do not depend on the number of threads.", nullptr, threads},
};

}  // namespace

std::span<const Test> engine_tests() { return kTests; }

}  // namespace tenon::conform
