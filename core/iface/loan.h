// Memory that is lent for a while and poisoned when the loan ends, so that whoever keeps a borrowed
// pointer reads poison instead of something that looks right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

namespace tenon::iface {

// What freed loans and answers that were never given are filled with.
inline constexpr unsigned char kPoison = 0xdb;

class Loan {
 public:
  // 16-byte aligned, valid until the next begin() after end().
  void* take(std::size_t bytes);
  void begin() { used_chunks_ = used_ = 0; }
  // Poisons everything that was taken. The memory stays where it is.
  void end();

 private:
  struct Chunk {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size = 0, taken = 0;
  };
  std::vector<Chunk> chunks_;
  std::size_t used_chunks_ = 0, used_ = 0;
};

// Loans of the calls of one table. A loan that has ended is the last to be used again, so its
// poison stays for a few calls. Thread-safe.
class LoanShelf {
 public:
  std::unique_ptr<Loan> take();
  void put_back(std::unique_ptr<Loan> loan);

 private:
  static constexpr std::size_t kResting = 4;
  std::mutex mutex_;
  std::deque<std::unique_ptr<Loan>> resting_;
};

}  // namespace tenon::iface
