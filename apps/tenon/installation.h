// Where the binary's companions lie. They are found from the binary's own place, so that an
// installation can be moved; a build folder has the same layout.
#pragma once

#include <string>

namespace tenon::app {

struct Installation {
  std::string plugins;    // lib/tenon/plugins: the plugins that a manifest can name
  std::string templates;  // share/tenon/template: what `tenon new` copies
};

Installation find_installation();

}  // namespace tenon::app
