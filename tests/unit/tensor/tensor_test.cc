#include "core/tensor/tensor.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace tenon {
namespace {

struct Counted {
  int allocated = 0, freed = 0, limit = 1000;
  DeviceMemory memory() {
    return {this,
            [](void* ctx, std::uint64_t bytes) -> void* {
              auto& self = *static_cast<Counted*>(ctx);
              return self.allocated == self.limit ? nullptr
                                                  : (++self.allocated, std::malloc(bytes));
            },
            [](void* ctx, void* data) {
              ++static_cast<Counted*>(ctx)->freed;
              std::free(data);
            },
            {1, 0}};
  }
};

TensorShape floats(std::int64_t rows, std::int64_t values) {
  return {{2, 32, 1}, 2, {rows, values}};
}

TEST(TensorPool, AReleasedBlockIsUsedAgain) {
  Counted counted;
  {
    TensorPool pool(counted.memory());
    Tensor* a = *pool.make(floats(4, 100));
    void* data = a->data;
    pool.release(a);
    Tensor* b = *pool.make(floats(5, 90));  // the same size class
    EXPECT_EQ(b->data, data);
    EXPECT_EQ(b->shape[0], 5);
    EXPECT_EQ(b->view().strides[0], 90);
    EXPECT_EQ(counted.allocated, 1);
    EXPECT_EQ(pool.live(), 1u);
    pool.release(b);
  }
  EXPECT_EQ(counted.freed, 1);
}

TEST(TensorPool, ARetainedHandleOutlivesItsFirstRelease) {
  Counted counted;
  TensorPool pool(counted.memory());
  Tensor* a = *pool.make(floats(1, 16));
  pool.retain(a);
  pool.release(a);
  Tensor* b = *pool.make(floats(1, 16));
  EXPECT_NE(a->data, b->data);
  pool.release(a);
  pool.release(b);
  EXPECT_EQ(pool.live(), 0u);
}

TEST(TensorPool, NoMemoryIsANamedError) {
  Counted counted{.limit = 0};
  TensorPool pool(counted.memory());
  const auto tensor = pool.make(floats(1, 16));
  ASSERT_FALSE(tensor.ok());
  EXPECT_EQ(tensor.error().id, "TENON-R010");
}

// The largest size class's block is not what a still larger tensor gets, and no size wraps around.
TEST(TensorPool, ASizeBeyondEveryClassIsRefused) {
  const DeviceMemory small{nullptr,
                           [](void*, std::uint64_t) { return std::malloc(64); },
                           [](void*, void* data) { std::free(data); },
                           {}};
  TensorPool pool(small);
  const auto largest = pool.make(floats(1 << 10, std::int64_t{1} << 27));  // 2^39 bytes
  ASSERT_TRUE(largest.ok());
  pool.release(*largest);
  for (const std::int64_t values : {std::int64_t{1} << 29, std::int64_t{1} << 54,
                                    (std::int64_t{1} << 49) + 1, std::int64_t{1} << 62}) {
    const auto refused = pool.make(floats(1 << 10, values));
    ASSERT_FALSE(refused.ok()) << values;
    EXPECT_EQ(refused.error().id, "TENON-R010");
  }
}

}  // namespace
}  // namespace tenon
