#include "core/conform/tiny_oracle.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace tenon::conform {
namespace {

// The answers of base rows, of a run whose third request wears an adapter.
std::vector<TinyAnswer> base_rows(std::vector<TinyAnswer> answers) {
  for (const std::size_t wearing : {8u, 5u, 2u})
    answers.erase(answers.begin() + static_cast<std::ptrdiff_t>(wearing));
  return answers;
}

Finding compare_adapted(const std::vector<TinyAnswer>& got, const std::vector<TinyAnswer>& want) {
  if (base_rows(got) != base_rows(want))
    return failed("requests without an adapter get other answers than without the plugin");
  if (got[2] == want[2])
    return failed("a request with an adapter gets the answer of the model as it is");
  return {Outcome::kOk, "base rows equal"};
}

}  // namespace

Distance distance(const std::vector<TinyAnswer>& got, const std::vector<TinyAnswer>& want) {
  Distance out;
  out.equal = got == want;
  for (std::size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    const TinyAnswer &a = got[i], &b = want[i];
    std::size_t same = 0;
    while (same < std::min(a.tokens.size(), b.tokens.size()) && a.tokens[same] == b.tokens[same]) {
      out.worst =
          std::max(out.worst, std::abs(double{a.logprobs[same]} - double{b.logprobs[same]}));
      ++same;
    }
    out.tokens += same;
    out.of_tokens += b.tokens.size();
  }
  return out;
}

std::string distance_text(const Distance& d) {
  if (d.equal) return "equal";
  char apart[32];
  std::snprintf(apart, sizeof apart, "%.1e", d.worst);
  return std::to_string(d.tokens) + " of " + std::to_string(d.of_tokens) +
         " tokens are the same, and log-probabilities up to " + apart + " apart";
}

Finding compare_with_oracle(const PluginDescriptor& plugin, const std::vector<TinyAnswer>& got,
                            const std::vector<TinyAnswer>& want, bool rounded) {
  if (plugin.numerics == Numerics::kApprox)
    return skipped("an approximation: its page says how far it may be");
  if (plugin.kind == "adapter") return compare_adapted(got, want);
  const Distance far = distance(got, want);
  const std::string text = distance_text(far);
  const double share = static_cast<double>(far.tokens) /
                       static_cast<double>(std::max<std::size_t>(1, far.of_tokens));
  const auto within = [&](double apart, double least_share, const char* what) {
    return far.worst <= apart && share > least_share ? Finding(Outcome::kOk, text)
                                                     : failed(what + text);
  };
  // A backend's and a network's sums are its own; what must be close is the meaning.
  if (plugin.kind == "backend") return within(0.5, 0.4, "against the exact reference ");
  if (plugin.kind == "model") return within(1e-3, 0.9, "against tenon.model.decoder ");
  if (plugin.numerics == Numerics::kSplit)
    return within(rounded ? 0.05 : 1e-4, 0.9, "against one rank ");
  if (plugin.numerics == Numerics::kExact && !far.equal)
    return failed("it says that it is exact; against its oracle " + text);
  return {Outcome::kOk, text};
}

}  // namespace tenon::conform
