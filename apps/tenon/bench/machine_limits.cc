#include "apps/tenon/bench/machine_limits.h"

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <memory>
#include <new>
#include <thread>

namespace tenon::app {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRuns = 5;
constexpr std::int64_t kComputeLoops = 1'500'000;  // of kChains instructions each: some 10 ms
constexpr int kChains = 12;                        // independent sums, to hide the latency

// Keeps the compiler from computing what a loop would compute. "v": any vector register.
template <class Vector>
void pin(Vector& value) {
  asm volatile("" : "+v"(value));
}

double read_avx2(const std::byte* from, std::size_t bytes) {
  __m256i sums[8] = {};
  for (std::size_t at = 0; at + 256 <= bytes; at += 256)
    for (int i = 0; i < 8; ++i)
      sums[i] = _mm256_xor_si256(
          sums[i], _mm256_load_si256(reinterpret_cast<const __m256i*>(from + at + 32 * i)));
  for (__m256i& sum : sums) pin(sum);
  return static_cast<double>(bytes / 256 * 256);
}

// Products as the AVX2 kernels make them: pairs in 16 bits, added there.
double int8_avx2() {
  __m256i a = _mm256_set1_epi8(1), b = _mm256_set1_epi8(2), sums[kChains] = {};
  for (std::int64_t loop = 0; loop < kComputeLoops; ++loop) {
    pin(a);
    for (__m256i& sum : sums) {
      sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(a, b));
      pin(sum);
      pin(b);  // or all the products would be one
    }
  }
  return static_cast<double>(kComputeLoops) * kChains * 64;
}

double f32_avx2() {
  const __m256 a = _mm256_set1_ps(1e-3f);
  __m256 sums[kChains] = {};
  for (std::int64_t loop = 0; loop < kComputeLoops; ++loop)
    for (__m256& sum : sums) {
      sum = _mm256_fmadd_ps(a, a, sum);
      pin(sum);
    }
  return static_cast<double>(kComputeLoops) * kChains * 16;
}

#define TENON_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

TENON_AVX512 double int8_avx512() {
  const __m512i a = _mm512_set1_epi8(1), b = _mm512_set1_epi8(2);
  __m512i sums[kChains] = {};
  for (std::int64_t loop = 0; loop < kComputeLoops; ++loop)
    for (__m512i& sum : sums) {
      sum = _mm512_dpbusd_epi32(sum, a, b);
      asm volatile("" : "+v"(sum));
    }
  return static_cast<double>(kComputeLoops) * kChains * 128;
}

TENON_AVX512 double f32_avx512() {
  const __m512 a = _mm512_set1_ps(1e-3f);
  __m512 sums[kChains] = {};
  for (std::int64_t loop = 0; loop < kComputeLoops; ++loop)
    for (__m512& sum : sums) {
      sum = _mm512_fmadd_ps(a, a, sum);
      asm volatile("" : "+v"(sum));
    }
  return static_cast<double>(kComputeLoops) * kChains * 32;
}

// The most that all threads did together in a second: whatever else runs only takes away. `work(t)`
// gives what thread t did; all begin at once.
template <class Work>
double rate_of(unsigned threads, const Work& work) {
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    std::atomic<unsigned> ready{0};
    std::vector<double> done(threads);
    const auto one = [&](unsigned t) {
      ++ready;
      while (ready < threads) std::this_thread::yield();
      done[t] = work(t);
    };
    std::vector<std::thread> others;
    for (unsigned t = 1; t < threads; ++t) others.emplace_back(one, t);
    while (ready + 1 < threads) std::this_thread::yield();
    const Clock::time_point start = Clock::now();
    one(0);
    for (std::thread& thread : others) thread.join();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    double sum = 0;
    for (const double part : done) sum += part;
    best = std::max(best, sum / seconds);
  }
  return best;
}

Throughput throughput_of(bool avx512, unsigned threads, const std::byte* buffer,
                         std::size_t bytes) {
  const std::size_t part = bytes / threads / 4096 * 4096;
  return {threads, rate_of(threads, [&](unsigned t) { return read_avx2(buffer + part * t, part); }),
          rate_of(threads, [&](unsigned) { return avx512 ? int8_avx512() : int8_avx2(); }),
          rate_of(threads, [&](unsigned) { return avx512 ? f32_avx512() : f32_avx2(); })};
}

std::string name_of_cpu() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name") && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

}  // namespace

std::string best_isa() {
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                 __builtin_cpu_supports("avx512vnni")
             ? "avx512vnni"
             : "avx2";
}

Result<MachineLimits> measure_limits(const std::string& isa, unsigned threads,
                                     std::size_t read_bytes) {
  struct Free {
    void operator()(std::byte* memory) const { ::operator delete (memory, std::align_val_t{4096}); }
  };
  const std::unique_ptr<std::byte, Free> buffer(
      static_cast<std::byte*>(::operator new (read_bytes, std::align_val_t{4096}, std::nothrow)));
  if (buffer == nullptr)
    return Error{.code = Code::kResourceExhausted,
                 .id = "TENON-A090",
                 .message = "no memory to measure how fast memory is read",
                 .found = std::to_string(read_bytes) + " bytes asked for",
                 .fix = "leave the machine's limits out: --no-limits"};
  std::memset(buffer.get(), 1, read_bytes);  // a page that was never written is not in memory
  const bool avx512 = isa == "avx512vnni" && best_isa() == isa;
  MachineLimits out{.cpu = name_of_cpu(), .isa = avx512 ? "avx512vnni" : "avx2"};
  out.one = throughput_of(avx512, 1, buffer.get(), read_bytes);
  out.all = threads > 1 ? throughput_of(avx512, threads, buffer.get(), read_bytes) : out.one;
  return out;
}

}  // namespace tenon::app
