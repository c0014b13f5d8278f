// Child processes, each in a process group of its own, ended with all that it started when the work
// is interrupted or this process dies: one that is run to its end, its output collected, or one
// that is talked with.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
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

// A child that is told a line on its stdin and answers with lines on its stdout, until it is
// destroyed: its stdin then ends, and a moment later so does the child. What it writes to stderr is
// kept for the error. Not thread-safe.
class Companion {
 public:
  // TENON-A020 when the program cannot be started at all.
  static Result<Companion> start(const std::vector<std::string>& argv);
  Companion(Companion&&) noexcept;
  Companion& operator=(Companion&&) noexcept;
  ~Companion();

  // TENON-A091: the child has ended; how, and the end of what it wrote to stderr.
  Status tell(const std::string& line);
  // The next line. TENON-A091; TENON-A017: `keep_going`, asked now and then, says no.
  Result<std::string> hear(const std::function<bool()>& keep_going);
  int process() const;  // its id

 private:
  struct State;
  explicit Companion(std::unique_ptr<State> state);
  Error ended();
  std::unique_ptr<State> state_;
};

}  // namespace tenon::app
