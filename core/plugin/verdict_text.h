// A verdict in words, and as the error that it is.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/plugin/solver.h"

namespace tenon {

// "tenon.cache.prefix (cache) requires kv.restore, which nothing here provides": one sentence.
std::string cause_text(std::span<const Contract> contracts, const Cause& cause);

// "attention, cache": the roles of a set of contracts.
std::string roles_text(std::span<const Contract> contracts, const std::vector<std::size_t>& parts);

// Of the first conflict; the others are counted. TENON-P031: a requirement that nothing meets;
// P032: two exclude each other, or own what has one owner; P064: they want or provide different
// values; P065: they are recorded as failing together. `fixes`: what would help, in words.
Error conflict_error(std::span<const Contract> contracts, const Verdict& verdict,
                     const std::vector<std::string>& fixes);

// "tenon.cache.prefix 0.1.0 with tenon.adapter.lora 0.1.0"
std::string pair_text(std::span<const Contract> contracts, const UntestedPair& pair);

// "tenon.cache.prefix (cache) avoids x: what is lost (who brings it about)"
std::string degradation_text(std::span<const Contract> contracts, const Degradation& each);

// TENON-P066.
Error untested_error(std::span<const Contract> contracts, const Verdict& verdict,
                     const std::string& where);

}  // namespace tenon
