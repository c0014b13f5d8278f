#include "core/iface/loan.h"

#include <algorithm>

namespace tenon::iface {

void* Loan::take(std::size_t bytes) {
  constexpr std::size_t kAlign = 16, kChunk = std::size_t{16} << 10;
  const std::size_t size = (std::max<std::size_t>(bytes, 1) + kAlign - 1) / kAlign * kAlign;
  while (used_chunks_ < chunks_.size() && used_ + size > chunks_[used_chunks_].size) {
    chunks_[used_chunks_++].taken = used_;
    used_ = 0;
  }
  if (used_chunks_ == chunks_.size()) {
    const std::size_t room = std::max(size, kChunk);
    chunks_.push_back({std::make_unique<std::byte[]>(room), room, 0});
  }
  void* out = chunks_[used_chunks_].bytes.get() + used_;
  used_ += size;
  return out;
}

void Loan::end() {
  if (used_chunks_ < chunks_.size()) chunks_[used_chunks_].taken = used_;
  for (std::size_t i = 0; i < chunks_.size() && i <= used_chunks_; ++i)
    std::memset(chunks_[i].bytes.get(), kPoison, chunks_[i].taken);
  used_chunks_ = used_ = 0;
}

std::unique_ptr<Loan> LoanShelf::take() {
  const std::lock_guard lock(mutex_);
  if (resting_.size() < kResting) return std::make_unique<Loan>();
  std::unique_ptr<Loan> out = std::move(resting_.front());
  resting_.pop_front();
  out->begin();
  return out;
}

void LoanShelf::put_back(std::unique_ptr<Loan> loan) {
  loan->end();
  const std::lock_guard lock(mutex_);
  resting_.push_back(std::move(loan));
}

}  // namespace tenon::iface
