// A steady decode step neither allocates nor takes a lock: counted over the whole process, plugins
// included, by standing in front of the C library.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <cstdlib>

#include "core/conform/tiny_adapter.h"
#include "core/conform/tiny_model.h"
#include "tests/fixtures/engines.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<int> allocations{0}, locks{0};

void count(std::atomic<int>& counter) {
  if (counting.load(std::memory_order_relaxed)) counter.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

extern "C" {
void* __libc_malloc(std::size_t bytes);                       // NOLINT: glibc's names
void* __libc_memalign(std::size_t align, std::size_t bytes);  // NOLINT
void* __libc_realloc(void* memory, std::size_t bytes);        // NOLINT
void* __libc_calloc(std::size_t n, std::size_t bytes);        // NOLINT

__attribute__((visibility("default"))) void* malloc(std::size_t bytes) {
  count(allocations);
  return __libc_malloc(bytes);
}
__attribute__((visibility("default"))) void* aligned_alloc(std::size_t align, std::size_t bytes) {
  count(allocations);
  return __libc_memalign(align, bytes);
}
__attribute__((visibility("default"))) void* realloc(void* memory, std::size_t bytes) {
  count(allocations);
  return __libc_realloc(memory, bytes);
}
__attribute__((visibility("default"))) void* calloc(std::size_t n, std::size_t bytes) {
  count(allocations);
  return __libc_calloc(n, bytes);
}
__attribute__((visibility("default"))) int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  static const auto real =
      reinterpret_cast<int (*)(pthread_mutex_t*)>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  count(locks);
  return real(mutex);
}
}

namespace tenon {
namespace {

class Steady : public testing::TestWithParam<const char*> {};

// Four sequences, decoding; `adapters`: of the base, of one adapter twice and of another.
void expect_steady(const std::string& scheduler, bool adapters) {
  const auto engine = load_engine({.scheduler = "tenon.scheduler." + scheduler,
                                   .engine = "threads: 2 kv_pages: 60",
                                   .adapters = adapters,
                                   .check_boundary = false},
                                  TinyModel().save("steady"));
  ASSERT_TRUE(engine.ok()) << engine.error().to_string();
  const char* const names[] = {"", "b", "a", "b"};
  for (std::uint32_t i = 0; i < 2 && adapters; ++i) {
    const TinyAdapter adapter(i, TinyAdapter::llama_modules(), 8);
    ASSERT_TRUE((*engine)->adapters()->load(i == 0 ? "a" : "b", adapter.save("steady")).ok());
  }
  std::size_t text = 0;
  for (std::int32_t i = 0; i < 4; ++i) {
    RequestSpec spec;
    spec.prompt = {1 + i, 2, 3, 4, 5};
    if (adapters) spec.adapter = names[i];
    spec.max_tokens = 55;
    spec.ignore_eos = true;
    spec.n_top = 3;
    if (i % 2 == 1) spec.sampling = {.temperature = 0.9, .top_k = 20, .top_p = 0.9, .seed = 5};
    spec.on_event = [&text](const TokenEvent& event) { text += event.text.size(); };
    ASSERT_TRUE((*engine)->engine().submit(std::move(spec)).ok());
  }
  for (int i = 0; i < 10; ++i)
    ASSERT_TRUE((*engine)->engine().step().ok());  // the prompts, and the first decodes
  allocations = locks = 0;
  counting = true;
  bool ok = true;
  for (int i = 0; i < 40; ++i) ok = (*engine)->engine().step().ok() && ok;
  counting = false;
  EXPECT_TRUE(ok);
  EXPECT_EQ(allocations.load(), 0);
  EXPECT_EQ(locks.load(), 0);
  EXPECT_EQ((*engine)->engine().live(), 4u);  // all were decoding all the time
  EXPECT_GT(text, 0u);
}

TEST_P(Steady, ADecodeStepNeitherAllocatesNorLocks) { expect_steady(GetParam(), false); }

TEST_P(Steady, NorDoesOneWithAdapters) { expect_steady(GetParam(), true); }

INSTANTIATE_TEST_SUITE_P(, Steady, testing::Values("fcfs", "sarathi", "sarathi-serve"));

TEST(SteadyTest, TheCountersCount) {
  allocations = locks = 0;
  counting = true;
  void* volatile memory = std::malloc(10);
  std::free(memory);
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
  counting = false;
  EXPECT_EQ(allocations.load(), 1);
  EXPECT_EQ(locks.load(), 1);
}

}  // namespace
}  // namespace tenon
