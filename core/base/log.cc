#include "core/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace tenon {
namespace {

spdlog::level::level_enum level_of(Severity severity) {
  switch (severity) {
    case Severity::kDebug:
      return spdlog::level::debug;
    case Severity::kInfo:
      return spdlog::level::info;
    case Severity::kWarning:
      return spdlog::level::warn;
    case Severity::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// Leaked on purpose: plugins may log while the process is going down.
spdlog::logger& logger() {
  static auto* instance = [] {
    auto* made =
        new spdlog::logger("tenon", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_pattern("%^%l%$ %v");
    made->set_level(spdlog::level::warn);
    return made;
  }();
  return *instance;
}

}  // namespace

void log(Severity severity, std::string_view component, std::string_view message) {
  logger().log(level_of(severity), "[{}] {}", component, message);
}

void set_log_level(Severity least) { logger().set_level(level_of(least)); }

}  // namespace tenon
