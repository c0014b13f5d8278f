#include "core/conform/random_params.h"

#include <algorithm>

namespace tenon::conform {

ParamValue random_value(const ParamSpec& spec, std::mt19937_64& random) {
  switch (spec.type) {
    case ParamType::kBool:
      return random() % 2 == 0;
    case ParamType::kInt64: {
      const std::int64_t low = spec.min_int.value_or(-1000), high = spec.max_int.value_or(1000);
      // Small ones more often: a limit of 2^40 leaves nothing to a uniform draw.
      const auto span = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
      const std::uint64_t room = random() % 2 == 0 ? std::min<std::uint64_t>(span, 256) : span;
      return static_cast<std::int64_t>(
          static_cast<std::uint64_t>(low) +
          (room == ~std::uint64_t{0} ? random() : random() % (room + 1)));
    }
    case ParamType::kDouble: {
      const double low = spec.min_double.value_or(-1e3), high = spec.max_double.value_or(1e3);
      return low + (high - low) * std::uniform_real_distribution<double>(0, 1)(random);
    }
    case ParamType::kString:
      return spec.default_value.value_or(ParamValue(std::string("value")));
    case ParamType::kEnum:
      return spec.values[random() % spec.values.size()];
  }
  return false;
}

std::vector<ManifestParam> random_params(const PluginDescriptor& plugin, std::mt19937_64& random) {
  std::vector<ManifestParam> out;
  for (const ParamSpec& spec : plugin.params)
    if (random() % 2 == 0) out.push_back({spec.key, random_value(spec, random), "kit"});
  return out;
}

std::string params_text(const std::vector<ManifestParam>& params) {
  std::string out;
  for (const ManifestParam& param : params)
    out += (out.empty() ? "" : ", ") + param.key + ": " + param_value_text(param.value);
  return out;
}

}  // namespace tenon::conform
