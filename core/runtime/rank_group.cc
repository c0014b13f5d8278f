#include "core/runtime/rank_group.h"

#include "core/base/hash.h"

namespace tenon {

std::uint64_t plan_hash(std::span<const BatchItem> items) {
  Hash128 hash{};
  for (const BatchItem& item : items) {
    const std::uint64_t head[] = {item.request->id, static_cast<std::uint64_t>(item.begin),
                                  static_cast<std::uint64_t>(item.end)};
    hash = hash_bytes(std::as_bytes(std::span(head)), hash);
    hash = hash_bytes(std::as_bytes(std::span(item.request->tokens)
                                        .subspan(static_cast<std::size_t>(item.begin),
                                                 static_cast<std::size_t>(item.end - item.begin))),
                      hash);
  }
  return hash.low;
}

RankGroup::RankGroup(std::vector<Executor*> executors, const iface::Comm* comm,
                     iface::Boundary* boundary)
    : executors_(std::move(executors)),
      comm_(comm),
      boundary_(boundary),
      status_(executors_.size()) {
  try {
    for (std::size_t rank = 1; rank < executors_.size(); ++rank)
      threads_.emplace_back([this, rank] { work(rank); });
  } catch (...) {  // the system has no more threads
    stop();
    throw;
  }
}

RankGroup::~RankGroup() { stop(); }

void RankGroup::stop() {
  stopping_ = true;
  ++step_;
  step_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void RankGroup::work(std::size_t rank) {
  for (std::uint32_t seen = 0;; ++seen) {
    step_.wait(seen);
    if (stopping_) return;
    status_[rank] = run_rank(rank, nullptr);
    if (running_.fetch_sub(1) == 1) running_.notify_one();
  }
}

// What fails here is told to the others at once: they may be waiting for this rank.
Status RankGroup::run_rank(std::size_t rank, Result<StepResult>* result) {
  const auto run = [&]() -> Status {
    if (comm_ != nullptr) {
      std::int32_t equal = 0;
      TENON_TRY(comm_->agree(static_cast<std::uint32_t>(rank), plan_hash(items_), &equal));
      if (equal == 0)
        return Error{.code = Code::kInternal,
                     .id = "TENON-R071",
                     .message = "the ranks do not have the same plan"};
    }
    Result<StepResult> computed = executors_[rank]->run(items_);
    if (!computed.ok()) return computed.take_error();
    if (comm_ != nullptr) TENON_TRY(comm_->check(static_cast<std::uint32_t>(rank)));
    if (result != nullptr) *result = std::move(computed);
    return {};
  };
  Status status = run();
  if (!status.ok() && comm_ != nullptr) comm_->fail();
  return status;
}

// A misuse of the boundary that no call has reported is the step's error.
Result<StepResult> RankGroup::run(std::span<const BatchItem> items) {
  if (boundary_ != nullptr) boundary_->begin_step();
  Result<StepResult> result = run_ranks(items);
  Status boundary = boundary_ != nullptr ? boundary_->end_step() : Status();
  if (!result.ok() && comm_ != nullptr) comm_->reset();
  TENON_TRY(std::move(boundary));
  return result;
}

Result<StepResult> RankGroup::run_ranks(std::span<const BatchItem> items) {
  Result<StepResult> result{StepResult{}};
  if (executors_.size() == 1) return executors_[0]->run(items);
  items_ = items;
  running_.store(static_cast<std::uint32_t>(threads_.size()));
  ++step_;
  step_.notify_all();
  status_[0] = run_rank(0, &result);
  for (std::uint32_t left = running_.load(); left > 0; left = running_.load()) running_.wait(left);
  // The first cause: a rank that only found the others gone says so with kUnavailable.
  std::size_t first = status_.size();
  for (std::size_t rank = 0; rank < status_.size(); ++rank)
    if (!status_[rank].ok() &&
        (first == status_.size() || (status_[first].error().code == Code::kUnavailable &&
                                     status_[rank].error().code != Code::kUnavailable)))
      first = rank;
  if (first == status_.size()) return result;
  Error error = status_[first].take_error();
  error.message = "rank " + std::to_string(first) + ": " + error.message;
  return error;
}

}  // namespace tenon
