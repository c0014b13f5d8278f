// Parts of reading a manifest that need no Protobuf. Internal to this folder.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/manifest/manifest.h"

namespace tenon::manifest_checks {

// Where a field such as "engine.threads" stands in the file.
using PlaceOf = std::function<std::string(std::string_view field)>;

// Presence, forms and ranges.
Status check_manifest(const Manifest& manifest, const PlaceOf& place_of);

// Is this JSON, with no key twice in one object? Protobuf's reader takes the last of two and says
// nothing.
Status check_json(std::string_view text, const std::string& name);

// "serve.json:4:7" of the first key `key`, or the name alone.
std::string json_key_place(std::string_view text, const std::string& name, std::string_view key);

// "name:line:column" of a byte, both from 1.
std::string place_of_byte(std::string_view text, const std::string& name, std::size_t byte);

}  // namespace tenon::manifest_checks
