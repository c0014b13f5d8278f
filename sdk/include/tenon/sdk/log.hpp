// One line of the host's log, put together from words and numbers and sent when it ends:
//   tenon::sdk::LogLine(host, tenon::sdk::Severity::kInfo) << "kept " << n << " pages";
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "tenon/sdk/plugin.hpp"

namespace tenon::sdk {

enum class Severity { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };

class LogLine {
 public:
  LogLine(const Host& host, Severity severity) : host_(host), severity_(severity) {}
  LogLine(const LogLine&) = delete;
  LogLine& operator=(const LogLine&) = delete;
  ~LogLine() { host_.log(static_cast<int>(severity_), text_); }

  LogLine& operator<<(std::string_view text) {
    text_ += text;
    return *this;
  }
  template <class Number>
  std::enable_if_t<std::is_arithmetic_v<Number>, LogLine&> operator<<(Number number) {
    text_ += std::to_string(number);
    return *this;
  }

 private:
  Host host_;  // by value: it is a pointer
  Severity severity_;
  std::string text_;
};

}  // namespace tenon::sdk
