// Adapters in a batch: what a request gets does not depend on the adapters beside it, is what the
// merged weights give, and no cached page crosses adapters or versions of one.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "core/conform/tiny_adapter.h"
#include "core/conform/tiny_model.h"
#include "tests/fixtures/engines.h"

namespace tenon {
namespace {

std::unique_ptr<LoadedEngine> load(const EngineChoice& choice, const std::string& model) {
  auto engine = load_engine(choice, model);
  EXPECT_TRUE(engine.ok()) << engine.error().to_string();
  return engine.ok() ? std::move(*engine) : nullptr;
}

std::int64_t vocabulary() { return static_cast<std::int64_t>(SyntheticVocabulary().tokens.size()); }

// Four adapters of several ranks, one of the head alone, one of some layers.
void load_adapters(LoadedEngine& engine) {
  using Modules = std::vector<TinyAdapter::Module>;
  const Modules all = TinyAdapter::llama_modules(true, vocabulary());
  const std::vector<std::pair<std::string, TinyAdapter>> adapters = {
      {"all", TinyAdapter(1, all, 8)},
      {"head", TinyAdapter(2, Modules{all.back()}, 3)},
      {"some", TinyAdapter(3, Modules{all[0], all[6], all[9], all[11]}, 16)},
      {"wide", TinyAdapter(4, all, 33)},
      {"one", TinyAdapter(5, Modules{all[2]}, 1)}};
  for (const auto& [name, adapter] : adapters) {
    const auto loaded = engine.adapters()->load(name, adapter.save("mixed-" + name));
    ASSERT_TRUE(loaded.ok()) << loaded.error().to_string();
  }
}

// Prompts share beginnings, so that pages could cross; "" is the model as it is.
std::vector<RequestSpec> make_requests() {
  std::mt19937 random(42);
  std::vector<std::int32_t> stem;
  for (int i = 0; i < 300; ++i) stem.push_back(static_cast<std::int32_t>(random() % 250));
  std::vector<RequestSpec> out;
  for (const std::size_t length : {1, 17, 64, 65, 130, 200})
    for (const char* adapter : {"", "all", "head", "some", "wide", "one"}) {
      RequestSpec spec;
      spec.prompt.assign(stem.begin(), stem.begin() + static_cast<std::ptrdiff_t>(length));
      spec.max_tokens = 3 + static_cast<std::int32_t>(random() % 6);
      spec.ignore_eos = true;
      spec.adapter = adapter;
      if (out.size() % 3 == 1)
        spec.sampling = {.temperature = 0.9, .top_k = 40, .top_p = 0.9, .seed = random()};
      if (out.size() % 5 == 3) spec.prompt_logprobs = true;
      out.push_back(std::move(spec));
    }
  return out;
}

Answer alone(LoadedEngine& engine, const RequestSpec& spec) {
  Answer answer;
  const auto id = submit_into(engine, spec, answer);
  EXPECT_TRUE(id.ok()) << id.error().to_string();
  EXPECT_TRUE(engine.engine().run().ok());
  return answer;
}

TEST(MixedBatch, EveryRequestGetsWhatItGetsAlone) {
  const std::string model = TinyModel().save("mixed");
  const std::vector<RequestSpec> requests = make_requests();
  // Base requests: by an engine that knows no adapters.
  const auto plain = load({.engine = "threads: 1 kv_pages: 40", .prefix_caches = 0}, model);
  const auto one =
      load({.engine = "threads: 1 kv_pages: 40", .prefix_caches = 0, .adapters = true}, model);
  load_adapters(*one);
  std::vector<Answer> expected;
  for (const RequestSpec& spec : requests)
    expected.push_back(alone(spec.adapter.empty() ? *plain : *one, spec));
  for (std::size_t i = 1; i < 6; ++i) EXPECT_NE(expected[30 + i], expected[30]);

  std::mt19937 random(7);
  for (const EngineChoice& choice :
       {EngineChoice{
            .engine = "threads: 2 stripes_per_thread: 3 kv_pages: 60 poison_free_pages: true",
           .adapters = true},
        EngineChoice{.scheduler_params = "param { key: \"prefill_chunk\" i: 5 }",
        .engine = "threads: 3 stripes_per_thread: 7 kv_pages: 12",
        .adapters = true},
        EngineChoice{.backend = "contract", .adapters = true}}) {
    const auto engine = load(choice, model);
    load_adapters(*engine);
    const int mixes = choice.backend == "contract" ? 2 : 30;
    for (int mix = 0; mix < mixes; ++mix) {
      std::vector<std::size_t> picked(2 + random() % 9);
      std::vector<Answer> got(picked.size());
      for (std::size_t i = 0; i < picked.size(); ++i) {
        picked[i] = random() % requests.size();
        ASSERT_TRUE(submit_into(*engine, requests[picked[i]], got[i]).ok());
        for (std::uint32_t steps = random() % 3; steps > 0; --steps)
          ASSERT_TRUE(engine->engine().step().ok());
      }
      ASSERT_TRUE(engine->engine().run().ok());
      for (std::size_t i = 0; i < picked.size(); ++i)
        ASSERT_EQ(got[i], expected[picked[i]])
            << "request " << picked[i] << " of adapter \"" << requests[picked[i]].adapter << "\"";
    }
  }
}

// The stream after each layer, in doubles.
std::vector<std::vector<double>> stream_of(LoadedEngine& engine, const RequestSpec& spec,
                                           Answer& answer) {
  std::vector<std::vector<double>> out;
  engine.observe_ports([&](const std::string&, const Tensor& tensor, const void* data) {
    const auto* values = static_cast<const double*>(data);
    out.emplace_back(values, values + tensor.shape[0] * tensor.shape[1]);
  });
  answer = alone(engine, spec);
  engine.observe_ports({});
  return out;
}

TEST(MixedBatch, AnAdapterIsTheMergedModel) {
  const auto modules = TinyAdapter::llama_modules(true, vocabulary());
  const TinyAdapter adapter(9, modules, 4, true);
  TinyModel merged_model = TinyModel().on_grid();
  for (const auto& module : modules)
    merged_model.change(tensor_of(module.path), adapter.delta(module));
  const std::string base_path = TinyModel().on_grid().save("merge-base"),
                    merged_path = merged_model.save("merge-merged");
  const auto merged = load({.backend = "exact"}, merged_path),
             adapted = load({.backend = "exact", .adapters = true}, base_path);
  ASSERT_TRUE(adapted->adapters()->load("a", adapter.save("merge")).ok());
  RequestSpec spec;
  for (std::int32_t i = 0; i < 70; ++i) spec.prompt.push_back((i * 37) % 250);
  spec.max_tokens = 8;
  spec.ignore_eos = true;
  spec.prompt_logprobs = true;
  Answer want, got;
  const auto want_stream = stream_of(*merged, spec, want);
  const Answer base = alone(*adapted, spec);
  spec.adapter = "a";
  const auto got_stream = stream_of(*adapted, spec, got);
  ASSERT_EQ(got_stream.size(), want_stream.size());
  double worst = 0;
  for (std::size_t i = 0; i < want_stream.size(); ++i) {
    ASSERT_EQ(got_stream[i].size(), want_stream[i].size());
    double most = 0, difference = 0;
    for (std::size_t v = 0; v < want_stream[i].size(); ++v) {
      most = std::max(most, std::abs(want_stream[i][v]));
      difference = std::max(difference, std::abs(want_stream[i][v] - got_stream[i][v]));
    }
    worst = std::max(worst, difference / most);
  }
  EXPECT_LE(worst, 1e-9);
  EXPECT_EQ(got.tokens, want.tokens);
  ASSERT_EQ(got.prompt_logprobs.size(), want.prompt_logprobs.size());
  double moved = 0;
  for (std::size_t i = 0; i < want.prompt_logprobs.size(); ++i) {
    EXPECT_NEAR(got.prompt_logprobs[i], want.prompt_logprobs[i], 2e-6);
    moved = std::max(moved, std::abs(double{base.prompt_logprobs[i]} - want.prompt_logprobs[i]));
  }
  EXPECT_GT(moved, 0.1);  // the adapter is no trifle
}

// The distribution of every prompt token but the first.
std::vector<std::vector<double>> distributions(LoadedEngine& engine, RequestSpec spec) {
  std::vector<std::vector<double>> out;
  spec.max_tokens = 0;
  spec.prompt_logprobs = true;
  spec.n_top = engine.model().decoder.vocabulary;
  spec.on_event = [&](const TokenEvent& event) {
    if (!event.prompt) return;
    auto& row = out.emplace_back(event.top.size());
    for (const TokenLogprob& top : event.top)
      row[static_cast<std::size_t>(top.token)] = double{top.logprob};
  };
  EXPECT_TRUE(engine.engine().submit(spec).ok());
  EXPECT_TRUE(engine.engine().run().ok());
  return out;
}

// On `cpu` the base is quantised and the factors are halves; the merged model is the meaning.
TEST(MixedBatch, OnTheCpuAnAdapterIsTheMergedModelToAMeanKlOf1e3) {
  const auto modules = TinyAdapter::llama_modules(true, vocabulary());
  const TinyAdapter adapter(9, modules, 8);
  TinyModel merged_model = TinyModel().on_grid();
  for (const auto& module : modules)
    merged_model.change(tensor_of(module.path), adapter.delta(module));
  const auto merged = load({.backend = "exact"}, merged_model.save("kl-merged")),
             adapted = load({.adapters = true}, TinyModel().on_grid().save("kl-base"));
  ASSERT_TRUE(adapted->adapters()->load("a", adapter.save("kl")).ok());
  RequestSpec spec;
  for (std::int32_t i = 0; i < 150; ++i) spec.prompt.push_back((i * 37) % 250);
  const auto want = distributions(*merged, spec);
  const auto base = distributions(*adapted, spec);
  spec.adapter = "a";
  const auto got = distributions(*adapted, spec);
  ASSERT_EQ(want.size(), 149u);
  ASSERT_EQ(got.size(), want.size());
  const auto mean_kl = [&want](const std::vector<std::vector<double>>& ours) {
    double kl = 0;
    for (std::size_t i = 0; i < want.size(); ++i)
      for (std::size_t t = 0; t < want[i].size(); ++t)
        kl += std::exp(want[i][t]) * (want[i][t] - ours[i][t]) / static_cast<double>(want.size());
    return kl;
  };
  EXPECT_LE(mean_kl(got), 1e-3);
  EXPECT_GE(mean_kl(base), 1e-2);  // the adapter is no trifle
}

TEST(MixedBatch, AZeroFactorChangesNothing) {
  const std::string model = TinyModel().save("zero");
  for (const std::string backend : {"exact", "contract", "tenon.backend.cpu"}) {
    const auto engine = load({.backend = backend, .adapters = true}, model);
    TinyAdapter adapter(1, TinyAdapter::llama_modules(true, vocabulary()));
    adapter.zero_b();
    ASSERT_TRUE(engine->adapters()->load("zero", adapter.save("zero")).ok());
    RequestSpec spec;
    for (std::int32_t i = 0; i < 30; ++i) spec.prompt.push_back((i * 37) % 250);
    spec.max_tokens = 10;
    spec.prompt_logprobs = true;
    const Answer base = alone(*engine, spec);
    spec.adapter = "zero";
    EXPECT_EQ(alone(*engine, spec), base) << backend;
  }
}

// Two published defects: KV made under one adapter served to another, and KV of an adapter's old
// weights served to requests of the same name with new ones.
TEST(MixedBatch, CachedPagesCrossNeitherAdaptersNorVersions) {
  const std::string model = TinyModel().save("pages");
  const TinyAdapter first(1, TinyAdapter::llama_modules()), second(2, TinyAdapter::llama_modules());
  const std::string first_folder = first.save("pages-1"), second_folder = second.save("pages-2");
  RequestSpec spec;
  for (std::int32_t i = 0; i < 200; ++i) spec.prompt.push_back((i * 37) % 250);
  spec.max_tokens = 4;
  const auto named = [&](const char* adapter) {
    RequestSpec out = spec;
    out.adapter = adapter;
    return out;
  };
  const auto cold = load({.prefix_caches = 0, .adapters = true}, model);
  ASSERT_TRUE(cold->adapters()->load("a", first_folder).ok() &&
              cold->adapters()->load("b", second_folder).ok());
  const Answer base = alone(*cold, spec), a = alone(*cold, named("a")),
               b = alone(*cold, named("b"));
  ASSERT_TRUE(base != a && base != b && a != b);

  const auto warm = load({.adapters = true}, model);
  AdapterSet& set = *warm->adapters();
  const auto hits = [&] { return warm->engine().stats().prefix_hit_tokens; };
  ASSERT_TRUE(set.load("a", first_folder).ok());
  EXPECT_EQ(alone(*warm, spec), base);
  EXPECT_EQ(alone(*warm, named("a")), a);
  EXPECT_EQ(hits(), 0u);  // nothing of the base's
  EXPECT_EQ(alone(*warm, named("a")), a);
  EXPECT_EQ(hits(), 192u);
  EXPECT_EQ(alone(*warm, spec), base);
  EXPECT_EQ(hits(), 384u);

  // Another version under the name: its pages are its own, whatever slot it got.
  ASSERT_TRUE(set.unload("a").ok() && set.load("a", second_folder).ok());
  EXPECT_EQ(alone(*warm, named("a")), b);
  EXPECT_EQ(hits(), 384u);
  // The first version again, under another name: the same content finds the same pages.
  ASSERT_TRUE(set.load("again", first_folder).ok());
  EXPECT_EQ(alone(*warm, named("again")), a);
  EXPECT_EQ(hits(), 576u);
}

// Ranks hold parts of the factors, cut as their part of the weight is.
TEST(MixedBatch, RanksShareAnAdapter) {
  const TinyAdapter adapter(1, TinyAdapter::llama_modules(true, vocabulary()));
  const std::string model = TinyModel().save("ranks"), folder = adapter.save("ranks");
  RequestSpec spec;
  for (std::int32_t i = 0; i < 70; ++i) spec.prompt.push_back((i * 37) % 250);
  spec.max_tokens = 4;
  spec.prompt_logprobs = true;
  const auto answer = [&](int ranks, const char* name) {
    const auto engine = load({.backend = "exact", .ranks = ranks, .adapters = true}, model);
    const auto loaded = engine->adapters()->load("a", folder);
    EXPECT_TRUE(loaded.ok()) << loaded.error().to_string();
    RequestSpec asked = spec;
    asked.adapter = name;
    return alone(*engine, asked);
  };
  const Answer one = answer(1, "a"), three = answer(3, "a"), base = answer(3, "");
  ASSERT_EQ(one.prompt_logprobs.size(), three.prompt_logprobs.size());
  double moved = 0;
  for (std::size_t i = 0; i < one.prompt_logprobs.size(); ++i) {
    EXPECT_NEAR(one.prompt_logprobs[i], three.prompt_logprobs[i], 2e-6);
    moved = std::max(moved, std::abs(double{one.prompt_logprobs[i]} - base.prompt_logprobs[i]));
  }
  EXPECT_EQ(one.tokens, three.tokens);
  EXPECT_GT(moved, 0.1);
}

TEST(MixedBatch, GemmaToo) {
  using Module = TinyAdapter::Module;
  std::vector<Module> modules;
  for (int layer = 0; layer < 6; ++layer) {
    const std::string name = "model.layers." + std::to_string(layer) + ".";
    modules.insert(modules.end(), {{name + "self_attn.q_proj", 128, 64},
                                   {name + "self_attn.k_proj", 32, 64},
                                   {name + "self_attn.o_proj", 64, 128},
                                   {name + "mlp.up_proj", 256, 64},
                                   {name + "mlp.down_proj", 64, 256}});
  }
  const std::string folder = TinyAdapter(1, modules, 8).save("gemma"),
                    model = TinyModel::gemma().save("mixed-gemma");
  RequestSpec spec;
  for (std::int32_t i = 0; i < 150; ++i) spec.prompt.push_back((i * 37) % 250);
  spec.max_tokens = 5;
  spec.ignore_eos = true;
  std::vector<Answer> want(2), got(2);
  for (const std::string backend : {"contract", "tenon.backend.cpu"}) {
    const auto engine = load({.backend = backend, .adapters = true}, model);
    const auto loaded = engine->adapters()->load("a", folder);
    ASSERT_TRUE(loaded.ok()) << loaded.error().to_string();
    RequestSpec adapted = spec;
    adapted.adapter = "a";
    std::vector<Answer>& answers = backend == "contract" ? want : got;
    if (backend == "contract") {
      answers = {alone(*engine, spec), alone(*engine, adapted)};
    } else {
      ASSERT_TRUE(submit_into(*engine, spec, answers[0]).ok() &&
                  submit_into(*engine, adapted, answers[1]).ok() && engine->engine().run().ok());
    }
  }
  EXPECT_NE(want[0], want[1]);
  EXPECT_EQ(want, got);
}

}  // namespace
}  // namespace tenon
