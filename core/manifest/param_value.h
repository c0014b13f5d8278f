// A value of a plugin's parameter, as a manifest and a descriptor write it.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace tenon {

using ParamValue = std::variant<bool, std::int64_t, double, std::string>;

// The same spelling of a value wherever one is hashed or shown: true, 64, 0.5, "text" (escaped).
std::string param_value_text(const ParamValue& value);

}  // namespace tenon
