// Descriptors as text for people: the reference page of all plugins, and one plugin as `tenon
// inspect` shows it.
#pragma once

#include <span>
#include <string>

#include "core/plugin/plugin_file.h"

namespace tenon {

// Markdown, by kind and id, with a table of each plugin's parameters.
std::string plugin_reference_page(std::span<const PluginDescriptor> plugins);

std::string plugin_text(const PluginFile& file);
std::string plugin_json(const PluginFile& file);

// Text inside a cell of a Markdown table.
std::string table_cell(const std::string& text);

// How a parameter's range reads: "1 .. 4096", "auto, avx2", "" when it has none.
std::string param_range_text(const ParamSpec& spec);

}  // namespace tenon
