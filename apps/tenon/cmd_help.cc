#include <cstdio>

#include "apps/tenon/cli.h"

namespace tenon::app {

int run_command(const HelpCommand& command) {
  std::fputs(command.text.c_str(), stdout);
  return kExitOk;
}

int run_command(const VersionCommand& command) {
  if (command.json)
    std::printf("{\"version\":\"%s\",\"revision\":\"%s\",\"compiler\":\"%s\",\"build\":\"%s\"}\n",
                TENON_VERSION, command.revision.c_str(), __VERSION__, TENON_BUILD_TYPE);
  else
    std::printf("tenon %s (revision %s, %s, compiler %s)\n", TENON_VERSION,
                command.revision.c_str(), TENON_BUILD_TYPE, __VERSION__);
  return kExitOk;
}

}  // namespace tenon::app
