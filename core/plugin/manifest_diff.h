// What differs between two manifests, as it would run: plugins with their versions, parameters with
// their defaults, and every field of the engine's and the sampler's.
#pragma once

#include <string>
#include <vector>

#include "core/plugin/assembly.h"

namespace tenon {

struct ManifestDifference {
  std::string what;  // "scheduler param max_sequences", "engine threads", "cache 2"
  std::string a, b;  // "64 (default)"; empty: not there
};

std::vector<ManifestDifference> diff_manifests(const Manifest& a, const Assembly& in_a,
                                               const Manifest& b, const Assembly& in_b);

// "scheduler: tenon.scheduler.fcfs 0.1.0 in a.textproto, ... in b.textproto": a line each.
std::string difference_text(const ManifestDifference& difference, const std::string& name_a,
                            const std::string& name_b);

}  // namespace tenon
