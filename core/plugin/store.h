// Where libraries are opened from: a private folder with a path for each content. The system loader
// goes by path, so a file that is replaced would give the old code, and two versions at one path
// one of them; and what has been checked cannot be changed between the check and the opening.
#pragma once

#include <string>

#include "core/base/error.h"
#include "core/plugin/plugin_file.h"

namespace tenon {

// The path of the library's copy, made if it is not there. TENON-P044: the file is no longer what
// was read. P130: there is no place for a store. P131: the store cannot be written. P132: others
// may write to it. P122, P123: to its files or to a folder above it, as in trust.h.
Result<std::string> store_library(const PluginFile& file);

}  // namespace tenon
