// The log facade. spdlog stays in log.cc, so including this header costs nothing. Lines go to
// stderr.
#pragma once

#include <string_view>

namespace tenon {

enum class Severity { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };

// `component` is a core folder or a plugin id. Thread-safe.
void log(Severity severity, std::string_view component, std::string_view message);

// Lines below `least` are dropped. The default is kWarning.
void set_log_level(Severity least);

}  // namespace tenon
