#pragma once

#include <string_view>

namespace tenon::app {

// The text of apps/manifests/default.textproto.
extern const std::string_view kDefaultManifest;

}  // namespace tenon::app
