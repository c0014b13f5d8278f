// What the checking proxy knows of one engine: where it is in its life, who is behind which table,
// and the first misuse that nobody has been told of yet.
//
// With a Boundary, every table between the core and a plugin is replaced by a checked one
// (checked_tables.h, generated from the IDL's tags). A misuse is an Error with one of these ids;
// its message begins with who is to blame, its place is the plugin and the call:
//   P080 wrong phase   P081 two calls at once   P082 lifecycle    P083 struct size   P084 null
//   P085 count         P086 value               P087 no message   P088 no answer     P089 wrote
//   beyond its room    P090 answer changed      P091 unknown tensor  P092 tensor not owned
//   P093 call from outside
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/iface/loan.h"
#include "tenon/abi/abi.h"

namespace tenon::iface {

class Boundary;

enum class TensorState { kUnknown, kReleased, kLive };
// The tensors of one rank. Empty until there are any.
using TensorLookup = std::function<TensorState(const tenon_tensor*)>;

// One plugin instance, as the boundary sees it: on one side its tables, on the other the services
// that it was given.
struct Party {
  std::string id;  // the plugin's, for messages
  Boundary* boundary = nullptr;
  const TensorLookup* tensors = nullptr;  // null: tensors are not checked
  std::atomic<bool> created{false}, destroyed{false};
  // Handles that the plugin has been given and must release or give on.
  std::mutex mutex;
  std::vector<const tenon_tensor*> owned;
};

// A table behind a checked one. Lives as long as the boundary, so that a call after destroy() still
// finds its name.
struct CheckedTable {
  Party* party = nullptr;
  const void* table = nullptr;
  void* target = nullptr;              // the instance, or the ctx of a service
  std::atomic<std::uint64_t> done{0};  // bit i: call i has succeeded once
  std::atomic<std::uint64_t> busy{0};  // bit of a lane: a call is inside
  LoanShelf loans;
  std::unique_ptr<std::byte[]> lent;  // of a service: the checked table that the plugin was given
};

class Boundary {
 public:
  // Without phases a call may come at any time: for tests that drive one table by hand.
  explicit Boundary(bool tracks_phases = true) : tracks_phases_(tracks_phases) {}
  Boundary(const Boundary&) = delete;
  Boundary& operator=(const Boundary&) = delete;

  // Loading lasts from the beginning until here.
  void loaded() { loading_ = false; }
  bool loading() const { return loading_; }
  void begin_step() { ++steps_; }
  // What was lent for the step is compared and poisoned. The step's misuse, when no call has
  // reported it.
  Status end_step();
  bool in_step() const { return steps_ > 0; }
  bool tracks_phases() const { return tracks_phases_; }

  // Both stay where they are.
  Party* add_party(std::string id, const TensorLookup* tensors);
  CheckedTable* add_table(Party* party, const void* table, void* target);

  // Keeps the first one until it is taken. Thread-safe.
  void record(Error error);
  std::optional<Error> take_misuse();
  bool has_misuse() const { return pending_.load(std::memory_order_relaxed); }

  // A part of an answer that must not change until the step has ended.
  struct Answer {
    Party* party;
    const char* call;
    std::string name;
    const void* original;
    const void* copy;
    std::size_t bytes;
  };
  void remember(Answer answer);
  // Memory that is poisoned when the step ends.
  void* take_for_step(std::size_t bytes);

 private:
  const bool tracks_phases_;
  std::atomic<bool> loading_{true};
  std::atomic<int> steps_{0};
  std::atomic<bool> pending_{false};
  std::mutex mutex_;
  std::optional<Error> misuse_;
  std::deque<Party> parties_;
  std::deque<CheckedTable> tables_;
  std::vector<Answer> answers_;
  Loan step_loans_[2];  // in turn: the poison of a step stays for the next
  int step_loan_ = 0;
};

#ifdef NDEBUG
inline constexpr bool kChecksUsually = false;
#else
inline constexpr bool kChecksUsually = true;
#endif
// What the environment's TENON_CHECK_BOUNDARY says, 1 or 0; `otherwise` without it.
bool checks_boundary(bool otherwise = kChecksUsually);

enum class Blame { kPlugin, kHost };
Error boundary_error(Blame blame, const char* id, const Party& party, const char* call,
                     std::string_view message, std::string found, std::string expected);

}  // namespace tenon::iface
