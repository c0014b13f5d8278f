// Byte-pair merging: turns the symbols of one piece into tokens by a table of ranked merges.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace tenon {

// The texts of all tokens, end to end: token `id` is [offsets[id], offsets[id + 1]).
struct TokenTexts {
  const char* bytes = nullptr;
  const std::uint32_t* offsets = nullptr;
  std::string_view operator[](std::int32_t id) const {
    const auto i = static_cast<std::size_t>(id);
    return {bytes + offsets[i], offsets[i + 1] - offsets[i]};
  }
};

// Text to id. A slot is 8 bytes and the texts stay where they are: filling and asking it is bound
// by cache misses.
class TokenTable {
 public:
  void reserve(std::size_t entries, TokenTexts texts);
  // Of tokens with the same text the first stays. `ids` in any number at once: each waits for
  // memory, and they wait together.
  void insert(std::span<const std::int32_t> ids);
  std::int32_t find(std::string_view text) const;  // -1 when missing
  // One id a text.
  void find(std::span<const std::string_view> texts, std::int32_t* ids) const;

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::int32_t id = -1;  // -1: free
  };
  std::int32_t find(std::string_view text, std::uint32_t hash) const;
  TokenTexts texts_;
  void insert_one(std::int32_t id, std::uint32_t hash);

  std::vector<Slot> slots_;  // a power of two, at most half full
};

class MergeTable {
 public:
  struct Merge {
    std::uint32_t rank;
    std::int32_t token;  // what the pair becomes
  };
  void reserve(std::size_t entries);
  // Before many insertions, so that they wait for memory together.
  void prefetch(std::int32_t left, std::int32_t right) const;
  // False when the pair is already there; the first, which ranks higher, stays.
  bool insert(std::int32_t left, std::int32_t right, Merge merge);
  const Merge* find(std::int32_t left, std::int32_t right) const;

 private:
  struct Slot {
    std::uint64_t key = kFree;
    Merge merge{};
  };
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};  // ids are not negative
  std::vector<Slot> slots_;
};

// Buffers that a run of pieces shares.
class BpeMerger {
 public:
  explicit BpeMerger(const MergeTable& merges) : merges_(merges) {}

  // Merges `symbols` in place: always the pair of the lowest rank, the leftmost of equals, until
  // none is left.
  void merge(std::vector<std::int32_t>& symbols);

  // The two ways of doing it, with equal results: a scan for short pieces, and a queue that is
  // O(n log n) for long ones.
  void merge_by_scan(std::vector<std::int32_t>& symbols);
  void merge_by_queue(std::vector<std::int32_t>& symbols);

 private:
  struct Candidate {
    std::uint32_t rank;
    std::uint32_t at;  // index of the left symbol
    std::int32_t left, right, token;
  };
  void push_pair(std::span<const std::int32_t> symbols, std::uint32_t left, std::uint32_t right);

  const MergeTable& merges_;
  std::vector<MergeTable::Merge> pairs_;
  std::vector<Candidate> queue_;
  std::vector<std::uint32_t> next_, previous_;
};

}  // namespace tenon
