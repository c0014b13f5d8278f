#include "core/iface/boundary.h"

#include <cstdlib>
#include <string_view>
#include <utility>

namespace tenon::iface {

Party* Boundary::add_party(std::string id, const TensorLookup* tensors) {
  const std::lock_guard lock(mutex_);
  Party& party = parties_.emplace_back();
  party.id = std::move(id);
  party.boundary = this;
  party.tensors = tensors;
  return &party;
}

CheckedTable* Boundary::add_table(Party* party, const void* table, void* target) {
  const std::lock_guard lock(mutex_);
  CheckedTable& made = tables_.emplace_back();
  made.party = party;
  made.table = table;
  made.target = target;
  return &made;
}

void Boundary::record(Error error) {
  const std::lock_guard lock(mutex_);
  if (!misuse_) misuse_ = std::move(error);
  pending_ = true;
}

std::optional<Error> Boundary::take_misuse() {
  if (!has_misuse()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  pending_ = false;
  return std::exchange(misuse_, std::nullopt);
}

void Boundary::remember(Answer answer) {
  const std::lock_guard lock(mutex_);
  answers_.push_back(std::move(answer));
}

void* Boundary::take_for_step(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  return step_loans_[step_loan_].take(bytes);
}

Status Boundary::end_step() {
  --steps_;
  std::optional<Error> changed;
  {
    const std::lock_guard lock(mutex_);
    for (const Answer& answer : answers_)
      if (!changed && std::memcmp(answer.original, answer.copy, answer.bytes) != 0)
        changed = boundary_error(Blame::kPlugin, "TENON-P090", *answer.party, answer.call,
                                 "an answer changed before the step had ended", answer.name,
                                 "memory of its own for each call of a step");
    answers_.clear();
    step_loans_[step_loan_].end();
    step_loan_ = 1 - step_loan_;
    step_loans_[step_loan_].begin();
  }
  if (changed) record(std::move(*changed));
  if (std::optional<Error> misuse = take_misuse()) return std::move(*misuse);
  return {};
}

bool checks_boundary(bool otherwise) {
  const char* wanted = std::getenv("TENON_CHECK_BOUNDARY");
  return wanted != nullptr && *wanted != '\0' ? std::string_view(wanted) != "0" : otherwise;
}

Error boundary_error(Blame blame, const char* id, const Party& party, const char* call,
                     std::string_view message, std::string found, std::string expected) {
  const bool plugin = blame == Blame::kPlugin;
  return Error{
      .code = Code::kInternal,
      .id = id,
      .message = std::string(plugin ? "plugin" : "host") + "-misbehaving: " + std::string(message),
      .where = party.id + " " + call,
      .found = std::move(found),
      .expected = std::move(expected),
      .fix = plugin ? "this is a defect of the plugin: docs/reference/abi.md has the rule"
                    : "this is a defect of the core: please report it"};
}

}  // namespace tenon::iface
