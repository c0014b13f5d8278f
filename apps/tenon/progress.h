// Progress on stderr: one line rewritten in place on a terminal, a few lines elsewhere.
#pragma once

#include <chrono>
#include <string>

#include "apps/tenon/model_store.h"

namespace tenon::app {

class PullDisplay {
 public:
  explicit PullDisplay(std::string model);
  ~PullDisplay();
  PullDisplay(const PullDisplay&) = delete;
  PullDisplay& operator=(const PullDisplay&) = delete;

  void show(const PullProgress& progress);

 private:
  std::string model_;
  bool terminal_;
  bool line_open_ = false;
  PullProgress::Phase phase_{};
  bool started_ = false;
  std::chrono::steady_clock::time_point next_{};
};

// What is being done now: one line, rewritten on a terminal; a line every ten seconds elsewhere.
class StatusLine {
 public:
  StatusLine();
  ~StatusLine();
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  // Is it time for another? Asked for where the text is costly to make.
  bool due() const { return std::chrono::steady_clock::now() >= next_; }
  void show(const std::string& text);
  // On a terminal the line goes.
  void close();

 private:
  bool terminal_, open_ = false;
  std::chrono::steady_clock::time_point next_;
};

// Says where the terms of use of a model are, if there are any.
void show_terms(const std::string& model, const Pulled& pulled);

}  // namespace tenon::app
