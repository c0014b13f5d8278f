// Errors as values. Bad input never aborts: it becomes an Error with a stable id, the place, what
// was found, what was expected and how to fix it; `Result<T>` carries either a value or such an
// Error.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tenon {

// Abseil numbering; the same numbers cross the plugin boundary as tenon_status.
enum class Code : std::int32_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
};

struct Error {
  Code code = Code::kUnknown;
  std::string id;  // stable, e.g. "TENON-F003"; letters: B base, F format, M manifest, P plugin, R
                   // runtime, A apps
  std::string message;   // one sentence, no trailing period
  std::string where;     // file:line, file@byte, request, plugin; may be empty
  std::string found;     // may be empty
  std::string expected;  // may be empty
  std::string fix;       // what the user can do; may be empty

  // "TENON-F003 model.gguf@24: message; found x; expected y; fix: z"
  std::string to_string() const;
  // The parts of such a text again; a text without an id gives a message alone.
  static Error from_string(Code code, std::string_view text);
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : error_(std::make_unique<Error>(std::move(error))) {}  // NOLINT(google-explicit-constructor)
  bool ok() const { return error_ == nullptr; }
  explicit operator bool() const { return ok(); }
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return std::move(*value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return std::move(*value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  const Error& error() const { return *error_; }
  Error take_error() { return std::move(*error_); }

 private:
  std::optional<T> value_;
  std::unique_ptr<Error> error_;  // null when ok
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error)
      : error_(std::make_unique<Error>(std::move(error))) {}  // NOLINT(google-explicit-constructor)
  bool ok() const { return error_ == nullptr; }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }
  Error take_error() { return std::move(*error_); }

 private:
  std::unique_ptr<Error> error_;  // null when ok
};

using Status = Result<void>;

#define TENON_CONCAT_INNER(a, b) a##b
#define TENON_CONCAT(a, b) TENON_CONCAT_INNER(a, b)

// Returns the error of `expr` from the enclosing function, if it has one.
#define TENON_TRY(expr)                                                             \
  do {                                                                              \
    if (auto tenon_try_ = (expr); !tenon_try_.ok()) return tenon_try_.take_error(); \
  } while (0)

// `TENON_ASSIGN(auto x, make_x());` binds the value or returns the error.
#define TENON_ASSIGN(lhs, expr) TENON_ASSIGN_INNER(TENON_CONCAT(tenon_result_, __LINE__), lhs, expr)
#define TENON_ASSIGN_INNER(tmp, lhs, expr) \
  auto tmp = (expr);                       \
  if (!tmp.ok()) return tmp.take_error();  \
  lhs = std::move(tmp).value()

}  // namespace tenon
