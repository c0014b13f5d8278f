#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/tenon/cli.h"
#include "apps/tenon/installation.h"
#include "apps/tenon/new_project.h"

namespace tenon::app {

int run_command(const NewCommand& command) {
  const auto made = create_project(command.project, find_installation().templates);
  if (!made.ok()) return report_error(made.error(), command.json);
  if (command.json) {
    const nlohmann::ordered_json object = {{"folder", made->folder},
                                           {"id", made->id},
                                           {"kind", command.project.kind},
                                           {"language", command.project.language},
                                           {"files", made->files}};
    std::puts(object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return kExitOk;
  }
  std::printf("%s\n", made->folder.c_str());
  std::fprintf(stderr, "made %s with %zu files; %s/README.md says how to build and run it\n",
               made->id.c_str(), made->files.size(), made->folder.c_str());
  return kExitOk;
}

}  // namespace tenon::app
