// A project for a plugin of one's own, copied from the templates of the SDK.
#pragma once

#include <string>
#include <vector>

#include "core/base/error.h"

namespace tenon::app {

struct NewProject {
  std::string kind;  // as a descriptor names it
  std::string name;  // of the folder, the library and the CMake project
  std::string language = "c++";
  std::string parent = ".";  // the folder is made in here
  std::string id;            // empty: org.example.<name>
};

struct CreatedProject {
  std::string folder, id;
  std::vector<std::string> files;  // relative to the folder, sorted
};

// Makes the folder <parent>/<name>. `templates` has a folder for each kind, with "-c" at its end
// for the language C, and the folders `project`, `project-c++` and `project-c` with what all have.
// Nothing is left behind on failure. Errors: TENON-A050 to A056.
Result<CreatedProject> create_project(const NewProject& wish, const std::string& templates);

}  // namespace tenon::app
