// What a plugin does to the process that it lives in.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace tenon::conform {

std::size_t threads_of_this_process();

// Keeps what is written to some file descriptors, of stdout and stderr, while it lives. Where the
// system gives no file to keep it in, nothing is led away and the text is empty.
class CapturedOutput {
 public:
  explicit CapturedOutput(std::initializer_list<int> fds);
  ~CapturedOutput();
  CapturedOutput(const CapturedOutput&) = delete;
  CapturedOutput& operator=(const CapturedOutput&) = delete;

  // Leads them back and gives the text; once.
  std::string finish();

 private:
  void lead_back();

  int file_;
  std::vector<std::pair<int, int>> kept_;  // a descriptor, and the copy of what it was
};

}  // namespace tenon::conform
