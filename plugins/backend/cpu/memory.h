// Memory that kernels read: aligned to cache lines, and large pieces to huge pages. Weights and KV
// pages are streamed through once a step; with pages of 4 KiB the walks through page tables cost
// more than half of a virtual machine's read bandwidth.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace tenon::cpu {

inline constexpr std::size_t kCacheLine = 64, kHugePage = std::size_t{2} << 20;

// Uninitialised; std::free gives it back. Null: there is none.
inline void* allocate_aligned(std::size_t bytes) {
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : kCacheLine;
  if (bytes > SIZE_MAX - alignment) return nullptr;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
  // A kernel without huge pages refuses, which costs speed alone.
  if (memory != nullptr && alignment == kHugePage) ::madvise(memory, rounded, MADV_HUGEPAGE);
  return memory;
}

struct AlignedFree {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using AlignedBytes = std::unique_ptr<std::byte, AlignedFree>;
inline AlignedBytes aligned_bytes(std::size_t bytes) {
  void* memory = allocate_aligned(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return AlignedBytes(static_cast<std::byte*>(memory));
}

}  // namespace tenon::cpu
