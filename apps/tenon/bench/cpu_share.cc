#include "apps/tenon/bench/cpu_share.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace tenon::app {
namespace {

// user and system time of a process and of its children that were waited for: proc(5).
std::int64_t ticks_of(int process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  // The name may have spaces and brackets.
  std::istringstream rest(text.substr(std::min(text.size(), text.rfind(')') + 1)));
  std::string skipped;
  for (int i = 0; i < 11; ++i) rest >> skipped;
  std::int64_t sum = 0, value = 0;
  for (int i = 0; i < 4 && rest >> value; ++i) sum += value;
  return sum;
}

}  // namespace

OthersShare::OthersShare(std::vector<int> own) : own_(std::move(own)) {
  own_.push_back(::getpid());
  begin_ = now();
}

OthersShare::Ticks OthersShare::now() const {
  Ticks out;
  std::ifstream file("/proc/stat");
  std::string name;
  file >> name;
  // user nice system idle iowait irq softirq steal; guest time is part of user time.
  for (int field = 0; field < 8; ++field) {
    std::int64_t value = 0;
    file >> value;
    out.all += value;
    if (field != 3 && field != 4) out.busy += value;
  }
  for (const int process : own_) out.own += ticks_of(process);
  return out;
}

double OthersShare::so_far() const {
  constexpr std::int64_t kFewestTicks = 20;
  const Ticks end = now();
  const std::int64_t all = end.all - begin_.all,
                     others = end.busy - begin_.busy - (end.own - begin_.own);
  if (all < kFewestTicks) return 0;
  return std::clamp(static_cast<double>(others) / static_cast<double>(all), 0.0, 1.0);
}

}  // namespace tenon::app
