// Runs a step on all ranks of this process at once: rank 0 on the caller's thread, the others on
// threads of their own.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "core/iface/boundary.h"
#include "core/iface/tables.h"
#include "core/runtime/executor.h"

namespace tenon {

// Identity of a step's work: requests, ranges and their tokens.
std::uint64_t plan_hash(std::span<const BatchItem> items);

class RankGroup {
 public:
  // One executor a rank. `comm` is null for one rank, `boundary` when no calls are checked. All
  // outlive the group. Throws std::system_error when the system has no thread for a rank.
  RankGroup(std::vector<Executor*> executors, const iface::Comm* comm,
            iface::Boundary* boundary = nullptr);
  ~RankGroup();
  RankGroup(const RankGroup&) = delete;
  RankGroup& operator=(const RankGroup&) = delete;

  // One step. Every rank computes the items; the results are rank 0's. When a rank fails, the
  // others stop waiting for it, and its error is returned with the rank's number. TENON-R071: the
  // ranks do not have the same plan.
  Result<StepResult> run(std::span<const BatchItem> items);

 private:
  Result<StepResult> run_ranks(std::span<const BatchItem> items);
  void work(std::size_t rank);
  void stop();
  Status run_rank(std::size_t rank, Result<StepResult>* result);

  std::vector<Executor*> executors_;
  const iface::Comm* comm_;
  iface::Boundary* boundary_;
  std::span<const BatchItem> items_;
  std::vector<Status> status_;             // one a rank
  std::atomic<std::uint32_t> step_{0};     // raised to begin a step
  std::atomic<std::uint32_t> running_{0};  // ranks beside the first that are not done
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

}  // namespace tenon
