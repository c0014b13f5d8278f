#include "core/runtime/request.h"

namespace tenon {
namespace {

tenon_sample_adjust& adjustment(Request& request, std::int32_t token) {
  const auto [place, added] = request.adjust_of.try_emplace(token, request.adjust.size());
  if (added) {
    request.adjust.push_back({token, 1, 0});
    request.count.push_back(0);
  }
  return request.adjust[place->second];
}

}  // namespace

const char* finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return "";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kAborted:
      return "aborted";
  }
  return "";
}

void start_adjustments(Request& request) {
  const SamplingParams& sampling = request.spec.sampling;
  for (const auto& [token, bias] : sampling.logit_bias)
    adjustment(request, token).add += static_cast<float>(bias);
  if (sampling.repetition_penalty != 1)
    for (const std::int32_t token : request.spec.prompt)
      adjustment(request, token).repetition = static_cast<float>(sampling.repetition_penalty);
}

void count_token(Request& request, std::int32_t token) {
  const SamplingParams& sampling = request.spec.sampling;
  if (sampling.repetition_penalty == 1 && sampling.presence_penalty == 0 &&
      sampling.frequency_penalty == 0)
    return;
  tenon_sample_adjust& adjust = adjustment(request, token);
  adjust.repetition = static_cast<float>(sampling.repetition_penalty);
  std::int32_t& count = request.count[request.adjust_of[token]];
  if (count++ == 0) adjust.add -= static_cast<float>(sampling.presence_penalty);
  adjust.add -= static_cast<float>(sampling.frequency_penalty);
}

}  // namespace tenon
