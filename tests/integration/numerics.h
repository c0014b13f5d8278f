// The distributions that an engine gives for a text, and how far two of them are apart.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/load/loaded_engine.h"

namespace tenon {

// Log-probabilities of the whole vocabulary, by token id.
using Distribution = std::vector<float>;

// [i]: of the token at position i + 1, given those before it. One per text.
using TextDistributions = std::vector<Distribution>;

// All texts in one run of the engine, so that they share its steps.
inline Result<std::vector<TextDistributions>> score(
    LoadedEngine& loaded, std::span<const std::vector<std::int32_t>> texts) {
  std::vector<TextDistributions> out(texts.size());
  const std::int32_t vocabulary = loaded.model().decoder.vocabulary;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    RequestSpec request;
    request.prompt = texts[i];
    request.prompt_logprobs = true;
    request.n_top = vocabulary;
    request.max_tokens = 0;
    request.on_event = [vocabulary, &text = out[i]](const TokenEvent& event) {
      if (!event.prompt) return;
      Distribution& d = text.emplace_back(static_cast<std::size_t>(vocabulary));
      for (const TokenLogprob& top : event.top)
        d[static_cast<std::size_t>(top.token)] = top.logprob;
    };
    TENON_TRY(loaded.engine().submit(std::move(request)));
  }
  TENON_TRY(loaded.engine().run());
  return out;
}

inline std::int32_t most_likely(const Distribution& d) {
  return static_cast<std::int32_t>(std::max_element(d.begin(), d.end()) - d.begin());
}

// KL(p || q) in nats. Both are normalised again: rounded log-probabilities do not sum to 1, and
// that alone would be 1e-6.
inline double kl_divergence(std::span<const float> p, std::span<const float> q) {
  double p_sum = 0, q_sum = 0, cross = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double weight = std::exp(double{p[i]});
    p_sum += weight;
    q_sum += std::exp(double{q[i]});
    cross += weight * (double{p[i]} - double{q[i]});
  }
  return cross / p_sum - std::log(p_sum) + std::log(q_sum);
}

// What a comparison of many positions adds up to.
struct Agreement {
  std::size_t positions = 0, same_top = 0;
  double kl_total = 0, kl_most = 0;

  void add(double kl, bool same) {
    ++positions;
    same_top += same;
    kl_total += kl;
    kl_most = std::max(kl_most, kl);
  }
  double mean_kl() const { return kl_total / static_cast<double>(positions); }
  double top1() const { return static_cast<double>(same_top) / static_cast<double>(positions); }
};

}  // namespace tenon
