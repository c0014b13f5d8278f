// The plugin in a whole engine on a tiny model, beside the tree's own plugins in the other roles
// and the reference backend: it runs, it equals its oracle as its numerics class says, and its
// answers are the same again.
#include <algorithm>

#include "core/conform/tiny_engine.h"

namespace tenon::conform {
namespace {

using Family = TinyModel::Family;

const char* role_of(const std::string& kind) {
  if (kind == "model") return "network";
  if (kind == "parallelism") return "tp";
  return kind == "comm" || kind == "backend" || kind == "attention" || kind == "scheduler" ||
                 kind == "cache" || kind == "adapter"
             ? kind.c_str()
             : nullptr;
}

// An engine with the plugin in it, and what its role needs beside it.
TinyEngine with(const Subject& s, Family family) {
  TinyEngine out{.family = family};
  const std::string& kind = s.descriptor().kind;
  TinyPlugin own{s.descriptor().id, s.file.path, s.params};
  const auto resolved = s.resolve();
  if (resolved.ok()) {
    own.params.clear();
    for (const ResolvedParam& param : resolved->values())
      own.params.push_back({param.key, param.value, "kit"});
  }
  out.roles[role_of(kind)] = own;
  if (kind == "parallelism" || kind == "comm") {
    out.ranks = family == Family::kLlama ? 3 : 2;
    out.roles.try_emplace("tp", TinyPlugin{"tenon.parallelism.tp", {}, {}});
    out.roles.try_emplace("comm", TinyPlugin{"tenon.comm.inproc", {}, {}});
  }
  return out;
}

std::string text_of(const Distance& d) {
  return std::to_string(d.tokens) + " of " + std::to_string(d.of_tokens) +
         " tokens are the same, and log-probabilities up to " + std::to_string(d.worst) + " apart";
}

// The answers of base rows, of a run whose third request wears an adapter.
std::vector<TinyAnswer> base_rows(std::vector<TinyAnswer> answers) {
  for (const std::size_t wearing : {8u, 5u, 2u})
    answers.erase(answers.begin() + static_cast<std::ptrdiff_t>(wearing));
  return answers;
}

Finding compare(const Subject& s, const std::vector<TinyAnswer>& got,
                const std::vector<TinyAnswer>& want) {
  const PluginDescriptor& d = s.descriptor();
  const Distance far = distance(got, want);
  const double share = static_cast<double>(far.tokens) /
                       static_cast<double>(std::max<std::size_t>(1, far.of_tokens));
  // A backend's and a network's sums are its own; what must be close is the meaning.
  if (d.kind == "backend")
    return far.worst <= 0.5 && share > 0.4 ? passed()
                                           : failed("against the exact reference " + text_of(far));
  if (d.kind == "model")
    return far.worst <= 1e-3 && share > 0.9 ? passed()
                                            : failed("against tenon.model.decoder " + text_of(far));
  if (d.numerics == Numerics::kSplit)
    return far.worst <= 1e-4 && share > 0.9 ? passed() : failed("against one rank " + text_of(far));
  if (d.numerics == Numerics::kExact)
    return far.equal ? passed()
                     : failed("it says that it is exact; against its oracle " + text_of(far));
  return passed();
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
  if (s.descriptor().numerics == Numerics::kApprox)
    return skipped("an approximation: its page says how far it may be");
  const auto want = run_tiny({.family = family}, s.directories);
  if (!want.ok())
    return skipped("the tree's own plugins are not here (--plugins): " + want.error().to_string());
  if (kind != "adapter") return compare(s, *got, *want);
  if (base_rows(*got) != base_rows(*want))
    return failed("requests without an adapter get other answers than without the plugin");
  return (*got)[2] != (*want)[2]
             ? passed()
             : failed("a request with an adapter gets the answer of the model as it is");
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
  return far.equal ? passed() : failed("a second run: " + text_of(far));
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
  return far.equal ? passed() : failed("three threads against one: " + text_of(far));
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
