#include "core/iface/loan.h"

#include <gtest/gtest.h>

namespace tenon::iface {
namespace {

TEST(Loan, WhatWasTakenIsPoisonedAtTheEndWhateverItsSize) {
  Loan loan;
  std::vector<std::pair<unsigned char*, std::size_t>> taken;
  for (const std::size_t bytes : {1, 16, 40000, 7, 16384, 100, 1})
    taken.emplace_back(static_cast<unsigned char*>(loan.take(bytes)), bytes);
  for (const auto& [at, bytes] : taken) std::fill_n(at, bytes, static_cast<unsigned char>(1));
  for (const auto& [at, bytes] : taken)
    EXPECT_EQ(std::count(at, at + bytes, 1), static_cast<std::ptrdiff_t>(bytes));
  loan.end();
  for (const auto& [at, bytes] : taken)
    EXPECT_EQ(std::count(at, at + bytes, kPoison), static_cast<std::ptrdiff_t>(bytes));
}

TEST(Loan, AnEndedOneRestsForAFewCalls) {
  LoanShelf shelf;
  void* first = nullptr;
  std::size_t calls_until_reuse = 0;
  for (std::size_t call = 0; call < 20; ++call) {
    std::unique_ptr<Loan> loan = shelf.take();
    void* at = loan->take(8);
    if (call == 0) first = at;
    if (call > 0 && at == first) {
      calls_until_reuse = call;
      shelf.put_back(std::move(loan));
      break;
    }
    shelf.put_back(std::move(loan));
  }
  EXPECT_GE(calls_until_reuse, 4u);
}

}  // namespace
}  // namespace tenon::iface
