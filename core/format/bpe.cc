#include "core/format/bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace tenon {
namespace {

constexpr std::size_t kShortPiece = 24;
constexpr std::size_t kAtOnce = 32;  // memory accesses that a core has under way
constexpr std::uint32_t kNoRank = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint32_t kEnd = std::numeric_limits<std::uint32_t>::max();

std::size_t slots_for(std::size_t entries) {
  return std::bit_ceil(std::max<std::size_t>(16, entries * 2));
}

std::uint64_t mix(std::uint64_t value) {
  value *= 0x9E3779B97F4A7C15ull;
  value ^= value >> 32;
  value *= 0xD6E8FEB86659FD93ull;
  return value ^ value >> 32;
}

// Tokens are a few bytes long: eight bytes at a time, with little set-up.
std::uint32_t hash_token(std::string_view text) {
  std::uint64_t hash = text.size();
  for (; text.size() >= 8; text.remove_prefix(8)) {
    std::uint64_t word;
    std::memcpy(&word, text.data(), 8);
    hash = mix(hash ^ word);
  }
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    word = word << 8 | static_cast<unsigned char>(text[i]);
  return static_cast<std::uint32_t>(mix(hash ^ word));
}

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

}  // namespace

void TokenTable::reserve(std::size_t entries, TokenTexts texts) {
  texts_ = texts;
  slots_.assign(slots_for(entries), {});
}

void TokenTable::insert(std::span<const std::int32_t> ids) {
  std::uint32_t hashes[kAtOnce];
  for (std::size_t begin = 0; begin < ids.size(); begin += kAtOnce) {
    const std::size_t count = std::min(kAtOnce, ids.size() - begin);
    for (std::size_t i = 0; i < count; ++i) {
      hashes[i] = hash_token(texts_[ids[begin + i]]);
      __builtin_prefetch(&slots_[hashes[i] & (slots_.size() - 1)], 1);
    }
    for (std::size_t i = 0; i < count; ++i) insert_one(ids[begin + i], hashes[i]);
  }
}

void TokenTable::insert_one(std::int32_t id, std::uint32_t hash) {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
    Slot& slot = slots_[at];
    if (slot.id < 0) {
      slot = {hash, id};
      return;
    }
    if (slot.hash == hash && texts_[slot.id] == texts_[id]) return;
  }
}

std::int32_t TokenTable::find(std::string_view text) const {
  return slots_.empty() ? -1 : find(text, hash_token(text));
}

void TokenTable::find(std::span<const std::string_view> texts, std::int32_t* ids) const {
  if (slots_.empty()) return void(std::fill_n(ids, texts.size(), -1));
  std::uint32_t hashes[kAtOnce];
  for (std::size_t begin = 0; begin < texts.size(); begin += kAtOnce) {
    const std::size_t count = std::min(kAtOnce, texts.size() - begin);
    for (std::size_t i = 0; i < count; ++i) {
      hashes[i] = hash_token(texts[begin + i]);
      __builtin_prefetch(&slots_[hashes[i] & (slots_.size() - 1)]);
    }
    for (std::size_t i = 0; i < count; ++i) ids[begin + i] = find(texts[begin + i], hashes[i]);
  }
}

std::int32_t TokenTable::find(std::string_view text, std::uint32_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.id < 0 || (slot.hash == hash && texts_[slot.id] == text)) return slot.id;
  }
}

void MergeTable::reserve(std::size_t entries) { slots_.assign(slots_for(entries), {}); }

void MergeTable::prefetch(std::int32_t left, std::int32_t right) const {
  __builtin_prefetch(&slots_[mix(pair_key(left, right)) & (slots_.size() - 1)], 1);
}

bool MergeTable::insert(std::int32_t left, std::int32_t right, Merge merge) {
  const std::uint64_t key = pair_key(left, right);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = mix(key) & mask;; at = (at + 1) & mask) {
    if (slots_[at].key == key) return false;
    if (slots_[at].key == kFree) {
      slots_[at] = {key, merge};
      return true;
    }
  }
}

const MergeTable::Merge* MergeTable::find(std::int32_t left, std::int32_t right) const {
  if (slots_.empty()) return nullptr;
  const std::uint64_t key = pair_key(left, right);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = mix(key) & mask;; at = (at + 1) & mask) {
    if (slots_[at].key == key) return &slots_[at].merge;
    if (slots_[at].key == kFree) return nullptr;
  }
}

void BpeMerger::merge(std::vector<std::int32_t>& symbols) {
  if (symbols.size() <= kShortPiece)
    merge_by_scan(symbols);
  else
    merge_by_queue(symbols);
}

void BpeMerger::merge_by_scan(std::vector<std::int32_t>& symbols) {
  if (symbols.size() < 2) return;
  const auto pair_at = [&](std::size_t i) {
    const MergeTable::Merge* found = merges_.find(symbols[i], symbols[i + 1]);
    return found ? *found : MergeTable::Merge{kNoRank, -1};
  };
  pairs_.clear();
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) pairs_.push_back(pair_at(i));
  while (!pairs_.empty()) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < pairs_.size(); ++i)
      if (pairs_[i].rank < pairs_[best].rank) best = i;
    if (pairs_[best].rank == kNoRank) return;
    symbols[best] = pairs_[best].token;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    pairs_.erase(pairs_.begin() + static_cast<std::ptrdiff_t>(best));
    if (best > 0) pairs_[best - 1] = pair_at(best - 1);
    if (best < pairs_.size()) pairs_[best] = pair_at(best);
  }
}

void BpeMerger::push_pair(std::span<const std::int32_t> symbols, std::uint32_t left,
                          std::uint32_t right) {
  const MergeTable::Merge* found = merges_.find(symbols[left], symbols[right]);
  if (!found) return;
  queue_.push_back({found->rank, left, symbols[left], symbols[right], found->token});
}

void BpeMerger::merge_by_queue(std::vector<std::int32_t>& symbols) {
  const auto count = static_cast<std::uint32_t>(symbols.size());
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
  };
  next_.resize(count);
  previous_.resize(count);
  queue_.clear();
  for (std::uint32_t i = 0; i < count; ++i) {
    next_[i] = i + 1 < count ? i + 1 : kEnd;
    previous_[i] = i > 0 ? i - 1 : kEnd;
    if (i > 0) push_pair(symbols, i - 1, i);
  }
  std::make_heap(queue_.begin(), queue_.end(), later);
  while (!queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end(), later);
    const Candidate top = queue_.back();
    queue_.pop_back();
    // A candidate is stale when either symbol has since become part of another merge; a symbol that
    // is gone holds -1.
    const std::uint32_t right = symbols[top.at] == top.left ? next_[top.at] : kEnd;
    if (right == kEnd || symbols[right] != top.right) continue;
    symbols[top.at] = top.token;
    symbols[right] = -1;
    next_[top.at] = next_[right];
    if (next_[right] != kEnd) previous_[next_[right]] = top.at;
    for (const std::uint32_t left : {previous_[top.at], top.at}) {
      if (left == kEnd || next_[left] == kEnd) continue;
      const std::size_t before = queue_.size();
      push_pair(symbols, left, next_[left]);
      if (queue_.size() > before) std::push_heap(queue_.begin(), queue_.end(), later);
    }
  }
  std::erase(symbols, -1);
}

}  // namespace tenon
