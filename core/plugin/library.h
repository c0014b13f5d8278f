// Opening a plugin's library. Libraries are opened once per process and never closed: code and
// static data of a closed library may still be referred to, and nothing is gained by closing.
#pragma once

#include "core/base/error.h"
#include "core/plugin/plugin_file.h"

namespace tenon {

// The plugin's table, checked: epoch, size, no empty slot. The library is opened from the store
// (store.h, with its errors). Thread-safe; the same content under the same name gives the same
// table. TENON-P040: the system loader refuses (its text is kept); P041: no entry function; P042:
// table of another epoch; P043: table too small, empty or absent; P046: too many libraries.
Result<const tenon_plugin_v1*> open_plugin(const PluginFile& file);

}  // namespace tenon
