// One child process in a process group of its own, its output collected, ended with all it started
// when the work is interrupted or this process dies.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace tenon::app {

struct ChildResult {
  int exit_code = 0;       // 128 + n when signal n ended it
  bool cancelled = false;  // `keep_going` said no
  std::string output;      // the end of stdout and stderr together, at most 16 KiB
};

struct ChildOptions {
  std::vector<std::string> argv;                                 // argv[0] is looked up on PATH
  std::vector<std::pair<std::string, std::string>> environment;  // added to this process's own
  std::chrono::milliseconds poll{200};
  std::function<bool()> keep_going;  // called every `poll`; false ends the child
};

// TENON-A020 when the program cannot be started at all.
Result<ChildResult> run_child(const ChildOptions& options);

}  // namespace tenon::app
