#include "core/format/spm.h"

#include <algorithm>
#include <limits>

#include "core/format/utf8.h"

namespace tenon {
namespace {

constexpr std::uint32_t kEnd = std::numeric_limits<std::uint32_t>::max();

}  // namespace

void SpmMerger::split(std::string_view text) {
  symbols_.clear();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = std::max<std::size_t>(1, utf8_length(text, at));
    const auto index = static_cast<std::uint32_t>(symbols_.size());
    symbols_.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(length),
                        index == 0 ? kEnd : index - 1, index + 1,
                        tokens_.find(text.substr(at, length))});
    at += length;
  }
  if (!symbols_.empty()) symbols_.back().next = kEnd;
}

void SpmMerger::push_pair(std::string_view text, std::uint32_t left, std::uint32_t right) {
  const std::uint32_t size = symbols_[left].size + symbols_[right].size;
  if (size > longest_) return;
  const std::int32_t token = tokens_.find(text.substr(symbols_[left].begin, size));
  if (token < 0) return;
  queue_.push_back({scores_[static_cast<std::size_t>(token)], left, right, size, token});
}

std::span<const SpmMerger::Piece> SpmMerger::merge(std::string_view text) {
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.score != b.score ? a.score < b.score : a.left > b.left;
  };
  split(text);
  queue_.clear();
  for (std::uint32_t i = 1; i < symbols_.size(); ++i) push_pair(text, i - 1, i);
  std::make_heap(queue_.begin(), queue_.end(), later);
  while (!queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end(), later);
    const Candidate top = queue_.back();
    queue_.pop_back();
    Symbol &left = symbols_[top.left], &right = symbols_[top.right];
    // Stale when either symbol has since grown or become part of another.
    if (left.size == 0 || right.size == 0 || left.size + right.size != top.size) continue;
    left.size = top.size;
    left.token = top.token;
    left.next = right.next;
    right.size = 0;
    if (left.next != kEnd) symbols_[left.next].previous = top.left;
    for (const std::uint32_t first : {left.previous, top.left}) {
      if (first == kEnd || symbols_[first].next == kEnd) continue;
      const std::size_t before = queue_.size();
      push_pair(text, first, symbols_[first].next);
      if (queue_.size() > before) std::push_heap(queue_.begin(), queue_.end(), later);
    }
  }
  pieces_.clear();
  for (const Symbol& symbol : symbols_)
    if (symbol.size > 0) pieces_.push_back({text.substr(symbol.begin, symbol.size), symbol.token});
  return pieces_;
}

}  // namespace tenon
