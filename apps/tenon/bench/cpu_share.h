// How much of the machine's processors others use while something is measured.
#pragma once

#include <cstdint>
#include <vector>

namespace tenon::app {

// From when it is made. `own`: processes that count as this one does, with their children that have
// ended.
class OthersShare {
 public:
  explicit OthersShare(std::vector<int> own);
  // Of all processors' time since then, 0 to 1; time that a hypervisor took away counts. Nothing
  // where the time was too short to say (it is counted in steps of 10 ms).
  double so_far() const;

 private:
  struct Ticks {
    std::int64_t all = 0, busy = 0, own = 0;
  };
  Ticks now() const;
  std::vector<int> own_;
  Ticks begin_;
};

}  // namespace tenon::app
