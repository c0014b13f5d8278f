// Attention methods at the depth of select: every row finds what it may read, and only that.
#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <set>

#include "core/conform/allocation_watch.h"
#include "core/conform/rig.h"
#include "core/memory/page_pool.h"
#include "core/plugin/library.h"
#include "core/runtime/read_set_check.h"

namespace tenon::conform {
namespace {

struct Shape {
  std::int32_t q_heads = 3, kv_heads = 1, head_dim = 32;
  std::vector<std::int32_t> windows = {0, 0};  // of each layer
};

// An instance that has planned a model of this shape.
struct Planned {
  std::unique_ptr<Rig> rig;
  iface::Attention table;
  std::vector<tenon_layer_plan> layers;
  tenon_cache_spec specs[8] = {};
  std::uint32_t n_specs = 0;
  std::vector<std::int32_t> windows;

  const tenon_cache_spec& spec_of(std::size_t layer) const { return specs[layers[layer].spec]; }
};

Result<Planned> plan(const Subject& s, const Shape& shape, bool checked = true) {
  Planned out;
  TENON_ASSIGN(out.rig, Rig::open(s, {.checked = checked}));
  TENON_ASSIGN(out.table, (out.rig->as<iface::Attention, tenon_attention_v1>(TENON_ATTENTION_ID)));
  std::vector<tenon_attention_layer> of_layer;
  for (const std::int32_t window : shape.windows) of_layer.push_back({10000, window, -1, -1, 0});
  tenon_attention_geometry geometry{};
  geometry.hdr = {sizeof geometry, 0, nullptr};
  geometry.layers = static_cast<std::int32_t>(shape.windows.size());
  geometry.q_heads = shape.q_heads;
  geometry.kv_heads = shape.kv_heads;
  geometry.head_dim = shape.head_dim;
  geometry.rope_style = TENON_ROPE_STYLE_HALF;
  geometry.rope_dims = shape.head_dim;
  geometry.scale = 1;
  geometry.norm_eps = 1e-5;
  geometry.of_layer = of_layer.data();
  out.windows = shape.windows;
  out.layers.assign(shape.windows.size(), {-7, -7});
  TENON_TRY(out.table.plan_layers(&geometry, out.layers.data(), out.specs, &out.n_specs));
  return out;
}

// A step: sequences of {tokens before, rows now}, with pages of their own in no order.
struct Batch {
  std::vector<tenon_sequence_rows> rows;
  std::vector<std::vector<std::uint32_t>> pages;
  tenon_attention_batch batch{};

  Batch(const std::vector<std::pair<int, int>>& sequences, std::int32_t window) {
    int row = 0;
    for (std::size_t s = 0; s < sequences.size(); ++s) {
      const auto& [before, count] = sequences[s];
      pages.emplace_back();
      for (int p = 0; p < pages_for_tokens(before + count); ++p)
        pages.back().push_back(static_cast<std::uint32_t>((s * 977 + p * 31 + 5) % 9973));
      const int first = window > 0 ? std::max(0, before - window + 1) / kPageTokens : 0;
      rows.push_back(
          {row, count, before, static_cast<std::int32_t>(pages.back().size()), nullptr, first, 0});
      row += count;
    }
    for (std::size_t s = 0; s < rows.size(); ++s) rows[s].pages = pages[s].data();
    batch = {{sizeof batch, 0, nullptr}, rows.data(), static_cast<std::int32_t>(rows.size()), row};
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
};

// What a layer reads of each sequence: page places, in order.
using Places = std::vector<std::vector<std::int32_t>>;
using Sequences = std::vector<std::pair<int, int>>;

Result<Places> select(const Planned& plan, std::size_t layer, const Batch& batch) {
  tenon_read_set read{};
  read.hdr = {sizeof read, 0, nullptr};
  TENON_TRY(plan.table.select(&batch.batch, static_cast<std::int32_t>(layer), &read));
  if (batch.rows.empty() && read.n_sequences == 0) return Places();
  TENON_TRY(
      check_read_set(batch.batch, read, static_cast<std::int32_t>(layer), plan.windows[layer]));
  Places out;
  for (std::int32_t i = 0; i < read.n_sequences; ++i) {
    out.emplace_back();
    const tenon_read_pages& pages = read.sequences[i];
    for (std::int32_t p = 0; p < pages.n_pages; ++p)
      out.back().push_back(pages.page_index != nullptr ? pages.page_index[p]
                                                       : pages.first_index + p);
  }
  return out;
}

// A step as the core makes one: a batch for each spec, the layers in their order. What each layer
// reads.
Result<std::vector<Places>> step(const Planned& plan, const Sequences& sequences) {
  std::vector<std::unique_ptr<Batch>> of_spec;
  for (std::uint32_t i = 0; i < plan.n_specs; ++i)
    of_spec.push_back(std::make_unique<Batch>(sequences, plan.specs[i].window));
  std::vector<Places> out;
  plan.rig->begin_step();
  for (std::size_t layer = 0; layer < plan.layers.size(); ++layer) {
    TENON_ASSIGN(Places places,
                 select(plan, layer, *of_spec[static_cast<std::size_t>(plan.layers[layer].spec)]));
    out.push_back(std::move(places));
  }
  TENON_TRY(plan.rig->end_step());
  return out;
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {
      {}, {9, 3, 64, {0, 0, 0}}, {4, 4, 16, {0}}, {8, 1, 128, {0, 0}}, {4, 2, 32, {100, 0, 100}}};
  return all;
}

// Refusing a shape in words is an answer; the first one is every model's.
Result<Planned> plan_or_skip(const Subject& s, const Shape& shape, bool& refused) {
  auto planned = plan(s, shape);
  refused = !planned.ok() && planned.error().code == Code::kUnimplemented &&
            !planned.error().message.empty();
  return planned;
}

Finding on_shapes(const Subject& s, Finding (*test)(const Planned& planned)) {
  int tried = 0;
  for (const Shape& shape : shapes()) {
    bool refused = false;
    const auto planned = plan_or_skip(s, shape, refused);
    if (refused) continue;
    if (!planned.ok()) return Finding(planned.error());
    ++tried;
    if (Finding f = test(*planned); f.outcome != Outcome::kOk) return f;
  }
  return tried > 0 ? passed() : failed("serves none of the shapes that the kit knows");
}

Finding plans(const Planned& p) {
  if (p.n_specs < 1 || p.n_specs > 8)
    return failed("gives " + std::to_string(p.n_specs) + " cache specs; 1 to 8 can be");
  std::set<std::pair<std::int32_t, std::int32_t>> places;
  std::map<std::int32_t, std::int32_t> layers_of;
  for (const tenon_layer_plan& layer : p.layers) {
    if (layer.spec < 0 || static_cast<std::uint32_t>(layer.spec) >= p.n_specs)
      return failed("a layer is put into a spec that is not there");
    if (layer.spec_layer < 0 || layer.spec_layer >= p.specs[layer.spec].layers)
      return failed("a layer is put outside of its spec's layers");
    if (!places.insert({layer.spec, layer.spec_layer}).second)
      return failed("two layers keep their state in one place");
    ++layers_of[layer.spec];
  }
  for (std::uint32_t i = 0; i < p.n_specs; ++i)
    if (layers_of[static_cast<std::int32_t>(i)] != p.specs[i].layers)
      return failed("a spec has layers that no layer of the model uses");
  return passed();
}

Finding spec_windows(const Planned& p) {
  for (std::size_t layer = 0; layer < p.layers.size(); ++layer) {
    const std::int32_t kept = p.spec_of(layer).window, needed = p.windows[layer];
    if (kept > 0 && (needed == 0 || kept < needed))
      return failed("a layer that reads " +
                    (needed == 0 ? std::string("all tokens") : std::to_string(needed) + " tokens") +
                    " keeps the last " + std::to_string(kept) + " alone");
  }
  return passed();
}

Finding boundaries(const Planned& p) {
  for (const int before : {0, 1, 62, 63, 64, 65, 127, 128, 129, 640, 4000})
    for (const int rows : {1, 2, 63, 64, 65, 130}) TENON_TRY(step(p, {{before, rows}}));
  return passed();
}

Finding ragged(const Planned& p) {
  TENON_TRY(step(p, {{0, 1}, {63, 1}, {64, 1}, {0, 200}, {500, 3}, {127, 129}}));
  std::vector<std::pair<int, int>> many;
  for (int i = 0; i < 200; ++i) many.push_back({i * 7, 1 + i % 3});
  TENON_TRY(step(p, many));
  return passed();
}

Finding empty(const Planned& p) {
  TENON_TRY(step(p, {}));
  TENON_TRY(step(p, {{10, 1}}));
  return passed();
}

// The batch grows and shrinks; what a call reads is of its own batch.
Finding batches(const Planned& p) {
  for (const int n : {1, 7, 2, 50, 1, 3}) {
    std::vector<std::pair<int, int>> sequences;
    for (int i = 0; i < n; ++i) sequences.push_back({100 + 64 * i, 1});
    TENON_TRY(step(p, sequences));
  }
  return passed();
}

// A sequence reads the same whoever stands beside it.
Finding permutation(const Planned& p) {
  const Sequences sequences = {{300, 1}, {20, 5}, {0, 70}, {64, 1}};
  TENON_ASSIGN(const auto all, step(p, sequences));
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    TENON_ASSIGN(const auto one, step(p, {sequences[i]}));
    for (std::size_t layer = 0; layer < all.size(); ++layer)
      if (one[layer][0] != all[layer][i])
        return failed("a sequence reads other pages when others are in the batch (layer " +
                      std::to_string(layer) + ")");
  }
  return passed();
}

// An exact method reads everything that a row may see.
Finding complete(const Subject& s) {
  if (s.descriptor().numerics != Numerics::kExact)
    return skipped("it does not say that it is exact");
  return on_shapes(s, [](const Planned& p) -> Finding {
    for (const auto& [before, rows] : Sequences{{0, 1}, {63, 2}, {300, 1}, {128, 65}, {700, 3}}) {
      TENON_ASSIGN(const auto places, step(p, {{before, rows}}));
      for (std::size_t layer = 0; layer < places.size(); ++layer) {
        const std::int32_t window = p.windows[layer];
        const int first = window > 0 ? std::max(0, before - window + 1) / kPageTokens : 0;
        const std::vector<std::int32_t>& read = places[layer][0];
        for (int page = first; page < pages_for_tokens(before + rows); ++page)
          if (std::find(read.begin(), read.end(), page) == read.end())
            return failed("rows at " + std::to_string(before) + " do not read page " +
                          std::to_string(page) + ", which dense attention reads");
      }
    }
    return passed();
  });
}

// The parts of a prompt read together what the whole prompt reads.
Finding split_prompt(const Subject& s) {
  if (s.descriptor().numerics != Numerics::kExact)
    return skipped("an approximation may read other pages in parts");
  return on_shapes(s, [](const Planned& p) -> Finding {
    TENON_ASSIGN(const auto part, step(p, {{200, 56}}));
    TENON_ASSIGN(const auto all, step(p, {{0, 256}}));
    for (std::size_t layer = 0; layer < all.size(); ++layer)
      for (const std::int32_t page : part[layer][0])
        if (std::find(all[layer][0].begin(), all[layer][0].end(), page) == all[layer][0].end())
          return failed("a part of a prompt reads page " + std::to_string(page) +
                        ", the whole prompt does not");
    return passed();
  });
}

Finding same_again(const Subject& s) {
  return on_shapes(s, [](const Planned& p) -> Finding {
    TENON_ASSIGN(const auto first, step(p, {{300, 1}, {20, 5}, {0, 70}}));
    TENON_ASSIGN(const auto second, step(p, {{300, 1}, {20, 5}, {0, 70}}));
    return first == second ? passed()
                           : failed("the same batch is read differently the second time");
  });
}

Finding step_allocations(const Subject& s) {
  TENON_ASSIGN(const tenon_plugin_v1* table, open_plugin(s.file));
  if (const Status watched = watch_allocations(table); !watched.ok())
    return watched.error().id == "TENON-K002" ? skipped(watched.error().message)
                                              : Finding(watched.error());
  TENON_ASSIGN(const Planned p, plan(s, {}, false));  // the proxy allocates
  const Batch batch({{300, 1}, {20, 5}, {0, 70}}, p.spec_of(0).window);
  tenon_read_set read{};
  read.hdr = {sizeof read, 0, nullptr};
  TENON_TRY(p.table.select(&batch.batch, 0, &read));  // it may grow once
  const Watched watch;
  for (int i = 0; i < 100; ++i) TENON_TRY(p.table.select(&batch.batch, 0, &read));
  const std::uint64_t made = watch.seen().made;
  if (made > 0)
    return failed("select() allocates in a step that it has seen before: " + std::to_string(made) +
                  " times in 100 calls");
  return passed();
}

Finding leaves_the_batch(const Subject& s) {
  TENON_ASSIGN(const Planned p, plan(s, {}, false));  // the proxy lends a copy
  const Batch batch({{300, 1}, {20, 5}}, p.spec_of(0).window);
  const auto rows = batch.rows;
  const auto pages = batch.pages;
  TENON_TRY(select(p, 0, batch));
  if (std::memcmp(rows.data(), batch.rows.data(), rows.size() * sizeof rows[0]) != 0 ||
      pages != batch.pages)
    return failed("changes the batch, which belongs to the core");
  return passed();
}

// More layers of different windows than there can be specs, and heads that do not divide.
Finding odd_shapes(const Subject& s) {
  for (const Shape& shape :
       {Shape{3, 1, 32, {64, 128, 192, 256, 320, 384, 448, 512, 576, 640}}, Shape{5, 2, 32, {0}},
        Shape{1, 1, 1, {0}}, Shape{64, 8, 256, std::vector<std::int32_t>(128, 0)}}) {
    const auto planned = plan(s, shape);
    if (!planned.ok()) {
      if (planned.error().message.find("without a message") != std::string::npos)
        return failed("refuses a shape and does not say why");
      continue;
    }
    if (Finding f = plans(*planned); f.outcome != Outcome::kOk) return f;
  }
  return passed();
}

Finding random_batches(const Subject& s) {
  std::mt19937_64 random(s.seed);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (const Shape& shape : shapes()) {
    bool refused = false;
    const auto planned = plan_or_skip(s, shape, refused);
    if (refused) continue;
    if (!planned.ok()) return Finding(planned.error());
    for (int i = 0; i < 300 * s.effort; ++i) {
      std::vector<std::pair<int, int>> sequences;
      for (int n = below(12); n >= 0; --n) sequences.push_back({below(2000), 1 + below(150)});
      if (const auto done = step(*planned, sequences); !done.ok())
        return failed(done.error().to_string() + " (batch " + std::to_string(i) + " of seed " +
                      std::to_string(s.seed) + ")");
    }
  }
  return passed();
}

#define TENON_ON_SHAPES(test) [](const Subject& s) { return on_shapes(s, test); }

constexpr Test kTests[] = {
    {"attention.plan", "Each layer has a place of its own in a spec.", "attention",
     TENON_ON_SHAPES(plans)},
    {"attention.windows", "A spec keeps what its layers read.", "attention",
     TENON_ON_SHAPES(spec_windows)},
    {"attention.odd-shapes", "Odd shapes are served or refused in words.", "attention", odd_shapes},
    {"numeric.page-boundaries", "Rows at the edges of pages find their pages.", "attention",
     TENON_ON_SHAPES(boundaries)},
    {"numeric.ragged", "Sequences of all lengths stand side by side.", "attention",
     TENON_ON_SHAPES(ragged)},
    {"numeric.empty", "A step without sequences is one.", "attention", TENON_ON_SHAPES(empty)},
    {"numeric.batches", "Batches grow and shrink from step to step.", "attention",
     TENON_ON_SHAPES(batches)},
    {"numeric.permutation", "What is read depends on the sequence alone.", "attention",
     TENON_ON_SHAPES(permutation)},
    {"numeric.complete", "What dense attention reads is read.", "attention", complete},
    {"numeric.split", "Parts of a prompt read what the whole does.", "attention", split_prompt},
    {"numeric.random", "Random batches: only a sequence's own pages, in order.", "attention",
     random_batches},
    {"memory.select", "select() allocates nothing in a step.", "attention", step_allocations},
    {"attention.batch", "The batch stays as it is.", "attention", leaves_the_batch},
    {"determinism.select", "The same batch is read the same again.", "attention", same_again},
};

}  // namespace

std::span<const Test> attention_tests() { return kTests; }

}  // namespace tenon::conform
