// Stop strings over text that arrives in pieces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tenon {

// Gives text out as soon as no stop string can begin in it any more.
class StopMatcher {
 public:
  StopMatcher() = default;
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // Adds text; returns what may be shown. After a stop string was found, stopped() is true and the
  // text before it has been returned.
  std::string push(std::string_view text);
  // What was held back, when the answer ends without a stop string.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace tenon
