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

// Says where the terms of use of a model are, if there are any.
void show_terms(const std::string& model, const Pulled& pulled);

}  // namespace tenon::app
