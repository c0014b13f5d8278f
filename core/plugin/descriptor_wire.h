// From the schema's messages to plain data. Internal to this folder.
//
// The schema has a field `requires`, a keyword since C++20 that the generator of Protobuf 3.21 does
// not step around; so descriptor_wire.cc and the generated code are compiled as C++17, and this
// header stays within it.
#pragma once

#include <string>
#include <string_view>

#include "core/plugin/descriptor.h"

namespace tenon::descriptor_wire {

bool decode(std::string_view bytes, PluginDescriptor& out);
// `problem` is "line:column: what", from 1.
bool decode_text(std::string_view text, PluginDescriptor& out, std::string& problem);

}  // namespace tenon::descriptor_wire
