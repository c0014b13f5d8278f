#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/tenon/cli.h"

namespace tenon::app {

int report_error(const Error& error, bool json) {
  std::fprintf(stderr, "error: %s\n", error.to_string().c_str());
  if (json) {
    const nlohmann::json object = {{"error",
                                    {{"id", error.id},
                                     {"message", error.message},
                                     {"where", error.where},
                                     {"found", error.found},
                                     {"expected", error.expected},
                                     {"fix", error.fix}}}};
    std::puts(object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  }
  return error.code == Code::kCancelled ? kExitInterrupted : kExitError;
}

}  // namespace tenon::app
