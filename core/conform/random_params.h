// Random parameters within a descriptor's ranges.
#pragma once

#include <random>
#include <vector>

#include "core/manifest/manifest.h"
#include "core/plugin/descriptor.h"

namespace tenon::conform {

ParamValue random_value(const ParamSpec& spec, std::mt19937_64& random);
// A value for about half of the parameters.
std::vector<ManifestParam> random_params(const PluginDescriptor& plugin, std::mt19937_64& random);
// "key: value, key: value"
std::string params_text(const std::vector<ManifestParam>& params);

}  // namespace tenon::conform
