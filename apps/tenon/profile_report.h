// What a profile says: a table, JSON, and a trace that ui.perfetto.dev opens.
#pragma once

#include <string>

#include "apps/tenon/cli.h"
#include "core/base/error.h"
#include "core/base/profile.h"
#include "core/load/loaded_engine.h"

namespace tenon::app {

// By time, the longest first; the sum of the rows last.
std::string profile_table(const Profile& profile);
// {"wall_ms", "sum_ms", "rows": [{"plugin", "call", "op", "calls", "ms", "share", "bytes",
// "gb_per_s", "allocations", "allocated_bytes"}]}
std::string profile_json(const Profile& profile);
// Chrome's trace events: a track for the engine's thread with steps, spans and its parts of
// commands, one for each other thread, and one for the stream.
std::string trace_json(const Profile& profile);

// Can the files that were asked for be written? Leaves an empty one where there was none.
// TENON-A018: no.
Status check_profile_files(const EngineChoice& choice);

// What the command line asked for: the table on stderr, the files. Nothing without a profile.
// TENON-A018: a file cannot be written.
Status report_profile(const LoadedEngine& engine, const EngineChoice& choice);

}  // namespace tenon::app
