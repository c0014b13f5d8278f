#include "core/tensor/tensor.h"

#include <algorithm>
#include <bit>

namespace tenon {

TensorPool::TensorPool(DeviceMemory memory) : memory_(memory) {}

TensorPool::~TensorPool() {
  for (const auto& tensor : all_) memory_.free(memory_.ctx, tensor->data);
}

Result<Tensor*> TensorPool::make(const TensorShape& shape) {
  std::uint64_t bits = shape.dtype.bits;
  for (int i = 0; i < shape.rank; ++i)
    if (__builtin_mul_overflow(
            bits, std::max<std::int64_t>(1, shape.shape[static_cast<std::size_t>(i)]), &bits))
      bits = std::uint64_t{1} << 63;  // beyond every size class
  const std::uint64_t bytes = std::max<std::uint64_t>(64, bits / 8);
  const auto size_class = static_cast<std::uint32_t>(std::bit_width(bytes - 1));
  std::vector<Tensor*>& free = free_[std::min(size_class, kClasses - 1)];
  if (free.empty() || size_class >= kClasses) {
    const std::uint64_t block = std::uint64_t{1} << size_class;
    void* data = size_class < kClasses ? memory_.allocate(memory_.ctx, block) : nullptr;
    if (data == nullptr)
      return Error{
          .code = Code::kResourceExhausted,
          .id = "TENON-R010",
          .message = "no device memory for an activation tensor",
          .found = std::to_string(block) + " bytes wanted, " + std::to_string(bytes_) + " in use",
          .fix = "lower the scheduler's batch tokens or the prompt length"};
    bytes_ += block;
    all_.push_back(std::make_unique<Tensor>());
    Tensor* made = all_.back().get();
    made->data = data;
    made->size_class = size_class;
    made->device = memory_.device;
    made->pool = this;
    // Room for every block to be free at once: releasing never allocates.
    free.reserve(all_.size());
    free.push_back(made);
  }
  Tensor* tensor = free.back();
  free.pop_back();
  tensor->dtype = shape.dtype;
  tensor->rank = shape.rank;
  tensor->shape = shape.shape;
  tensor->strides = shape.rank == 2 ? std::array<std::int64_t, kMaxRank>{shape.shape[1], 1}
                                    : std::array<std::int64_t, kMaxRank>{1, 1};
  tensor->references = 1;
  ++live_;
  return tensor;
}

bool TensorPool::has(const Tensor* tensor) const {
  return std::any_of(all_.begin(), all_.end(),
                     [tensor](const auto& each) { return each.get() == tensor; });
}

void TensorPool::release(Tensor* tensor) {
  if (--tensor->references > 0) return;
  --live_;
  free_[tensor->size_class].push_back(tensor);
}

}  // namespace tenon
