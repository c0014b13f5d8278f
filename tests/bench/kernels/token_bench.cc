// Where tokens come in and go out: rows of the embedding, and sampling from logits.
#include <memory>

#include "tests/bench/kernels/op_rig.h"
#include "tests/bench/kernels/work.h"

namespace tenon::bench {
namespace {

void gather(benchmark::State& state, const Setup& setup, const Target& target, std::int64_t rows) {
  constexpr std::int64_t kTokens = 8192, kWidth = 576;
  const OpRig rig(target.isa, setup.threads);
  std::mt19937 random(1);
  conform::RandomWeight weight(TENON_LAYOUT_Q8M32, kTokens, kWidth, false, random);
  must(weight.load(rig.table(), 0));
  std::vector<std::int32_t> ids(static_cast<std::size_t>(rows));
  for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random() % kTokens);
  std::int64_t shape = rows, stride = 1;
  const tenon_view in{ids.data(), {1, 0}, 1, {0, 32, 1}, &shape, &stride, 0};
  Operand out(rig.table(), rows, kWidth, random);
  const tenon_op_gather op{{sizeof op, TENON_OP_GATHER, nullptr}, 0, 0, 1};
  for (auto _ : state) rig.call(&op.hdr, {in}, {out.rows(rows)});
  set_counters(state, {.bytes = static_cast<double>(rows) * kWidth * 34 / 32, .in_cache = true},
               target);
}

// temperature 0: the most likely token.
void sample(benchmark::State& state, const Setup& setup, const Target& target,
            std::int64_t vocabulary, float temperature) {
  const OpRig rig(target.isa, setup.threads);
  std::mt19937 random(1);
  Operand logits(rig.table(), 1, vocabulary, random);
  const tenon_sample_row row{1,     1, -1, temperature, temperature > 0 ? 40 : 0,
                             0.95f, 0, 0,  0,           nullptr};
  tenon_sample_result result{-1, 0, nullptr};
  const tenon_op_sample op{{sizeof op, TENON_OP_SAMPLE, nullptr}, &row, &result};
  rig.call(&op.hdr, {logits.rows(1)}, {});
  for (auto _ : state) rig.call(&op.hdr, {logits.rows(1)}, {});
  set_counters(state, {.bytes = 4.0 * static_cast<double>(vocabulary), .in_cache = true}, target);
}

}  // namespace

void add_token_benchmarks(const Setup& setup, const Target& target) {
  for (const std::int64_t rows : {1, 64})
    add(setup, target, "gather/smollm2/rows:" + std::to_string(rows),
        [=](benchmark::State& state) { gather(state, setup, target, rows); });
  for (const auto& [name, vocabulary] : {std::pair{"smollm2", 49152}, {"gemma", 262144}})
    for (const auto& [how, temperature] : {std::pair{"greedy", 0.0f}, {"top-k", 0.8f}})
      add(setup, target, std::string("sample/") + name + "/" + how,
          [=, vocabulary = vocabulary, temperature = temperature](benchmark::State& state) {
            sample(state, setup, target, vocabulary, temperature);
          });
}

}  // namespace tenon::bench
