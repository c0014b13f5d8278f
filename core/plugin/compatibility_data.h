// docs/reference/compatibility.json, as it was when the core was built. Internal to this folder.
#pragma once

#include <string_view>

namespace tenon {

extern const std::string_view kCompatibilityJson;

}  // namespace tenon
