// Names, uses and what is given back: adapters come and go while the engine runs.
#include "core/adapter/adapter_set.h"

#include <gtest/gtest.h>

#include "core/conform/tiny_adapter.h"
#include "core/conform/tiny_model.h"
#include "tests/fixtures/engines.h"

namespace tenon {
namespace {

std::unique_ptr<LoadedEngine> engine_with_adapters(const std::string& model,
                                                   const std::string& backend = "contract") {
  auto engine = load_engine({.backend = backend, .adapters = true}, model);
  EXPECT_TRUE(engine.ok()) << engine.error().to_string();
  return std::move(*engine);
}

RequestSpec request(const std::string& adapter, std::int32_t tokens = 6) {
  RequestSpec spec;
  spec.prompt = {7, 8, 9, 10, 11};
  spec.max_tokens = tokens;
  spec.ignore_eos = true;
  spec.adapter = adapter;
  return spec;
}

Answer answer_of(LoadedEngine& engine, const std::string& adapter) {
  Answer answer;
  const auto id = submit_into(engine, request(adapter), answer);
  EXPECT_TRUE(id.ok()) << id.error().to_string();
  EXPECT_TRUE(engine.engine().run().ok());
  return answer;
}

TEST(AdapterSet, ARequestNamesALoadedAdapter) {
  const auto engine = engine_with_adapters(TinyModel().save("set-names"));
  const std::string folder = TinyAdapter(1, TinyAdapter::llama_modules()).save("names");
  ASSERT_TRUE(engine->adapters()->load("summary", folder).ok());
  const auto unknown = engine->engine().submit(request("sumary"));
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().id, "TENON-D003");
  EXPECT_NE(unknown.error().fix.find("summary"), std::string::npos);
  EXPECT_EQ(engine->engine().live(), 0u);
  EXPECT_NE(answer_of(*engine, "summary").logprobs, answer_of(*engine, "").logprobs);
}

TEST(AdapterSet, WithoutAPluginAnAdapterIsRefused) {
  const auto engine = load_engine({.backend = "contract"}, TinyModel().save("set-none"));
  ASSERT_TRUE(engine.ok());
  EXPECT_EQ((*engine)->adapters(), nullptr);
  const auto refused = (*engine)->engine().submit(request("summary"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().id, "TENON-D004");
}

TEST(AdapterSet, NamesAreCheckedAndTaken) {
  const auto engine = engine_with_adapters(TinyModel().save("set-taken"));
  const std::string folder = TinyAdapter(1, TinyAdapter::llama_modules()).save("taken");
  for (const std::string& name :
       {std::string(), std::string("a b"), std::string(300, 'x'), std::string("line\n")}) {
    const auto refused = engine->adapters()->load(name, folder);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().id, "TENON-D001");
  }
  ASSERT_TRUE(engine->adapters()->load("a", folder).ok());
  const auto again = engine->adapters()->load("a", folder);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().id, "TENON-D002");
  const Status unknown = engine->adapters()->unload("b");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().id, "TENON-D003");
}

TEST(AdapterSet, TheIdentityIsTheContent) {
  const auto engine = engine_with_adapters(TinyModel().save("set-identity"));
  AdapterSet& set = *engine->adapters();
  TinyAdapter adapter(1, TinyAdapter::llama_modules());
  const std::string here = adapter.save("identity-1"), there = adapter.save("identity-2");
  adapter.tensors.begin()->second.values[0] += 1e-3f;
  const std::string other = adapter.save("identity-3");
  ASSERT_TRUE(set.load("a", here).ok() && set.load("b", there).ok() && set.load("c", other).ok());
  const auto loaded = set.loaded();
  ASSERT_EQ(loaded.size(), 3u);
  EXPECT_EQ(loaded[0]->files.identity().size(), 64u);
  EXPECT_EQ(loaded[0]->files.identity(), loaded[1]->files.identity());
  EXPECT_NE(loaded[0]->files.identity(), loaded[2]->files.identity());
  EXPECT_EQ(loaded[0]->sites.size(), 14u);
  EXPECT_EQ(loaded[0]->sites[0].rank, 4);
  EXPECT_EQ(loaded[0]->sites[0].scale, 2);
}

// What is unloaded while it is in use finishes its requests with the weights that they began with;
// the same name means the new version from then on.
TEST(AdapterSet, AVersionInUseFinishesItsRequests) {
  const auto engine = engine_with_adapters(TinyModel().save("set-drain"));
  AdapterSet& set = *engine->adapters();
  const std::string first = TinyAdapter(1, TinyAdapter::llama_modules()).save("drain-1"),
                    second = TinyAdapter(2, TinyAdapter::llama_modules(), 8).save("drain-2");
  ASSERT_TRUE(set.load("a", first).ok());
  const Answer want_first = answer_of(*engine, "a");
  ASSERT_TRUE(set.unload("a").ok());
  EXPECT_EQ(set.slots(), 0u);
  ASSERT_TRUE(set.load("a", second).ok());
  const Answer want_second = answer_of(*engine, "a");
  ASSERT_NE(want_first, want_second);
  ASSERT_TRUE(set.unload("a").ok() && set.load("a", first).ok());

  Answer old_version, new_version;
  ASSERT_TRUE(submit_into(*engine, request("a"), old_version).ok());
  ASSERT_TRUE(engine->engine().step().ok());
  ASSERT_TRUE(set.unload("a").ok());
  EXPECT_EQ(set.slots(), 1u);  // it is in use
  EXPECT_TRUE(set.loaded().empty());
  const auto refused = engine->engine().submit(request("a"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().id, "TENON-D003");
  ASSERT_TRUE(set.load("a", second).ok());
  EXPECT_EQ(set.slots(), 2u);
  ASSERT_TRUE(submit_into(*engine, request("a"), new_version).ok());
  ASSERT_TRUE(engine->engine().run().ok());
  EXPECT_EQ(old_version, want_first);
  EXPECT_EQ(new_version, want_second);
  EXPECT_EQ(set.slots(), 1u);
  EXPECT_EQ(set.weights(), 28u);
}

TEST(AdapterSet, AnAbortedRequestGivesItsUseBack) {
  const auto engine = engine_with_adapters(TinyModel().save("set-abort"));
  AdapterSet& set = *engine->adapters();
  ASSERT_TRUE(set.load("a", TinyAdapter(1, TinyAdapter::llama_modules()).save("abort")).ok());
  const auto waiting = engine->engine().submit(request("a")),
             running = engine->engine().submit(request("a"));
  ASSERT_TRUE(waiting.ok() && running.ok() && engine->engine().step().ok());
  ASSERT_TRUE(set.unload("a").ok());
  engine->engine().abort(*waiting);
  engine->engine().abort(*running);
  ASSERT_TRUE(engine->engine().run().ok());
  EXPECT_EQ(set.slots(), 0u);
  EXPECT_EQ(set.weights(), 0u);
}

// From a request's own callback, in the middle of a step.
TEST(AdapterSet, CallbacksMayLoadAndUnload) {
  const auto engine = engine_with_adapters(TinyModel().save("set-callback"));
  AdapterSet& set = *engine->adapters();
  const std::string folder = TinyAdapter(1, TinyAdapter::llama_modules()).save("callback");
  ASSERT_TRUE(set.load("a", folder).ok());
  bool reloaded = false;
  RequestSpec spec = request("a");
  spec.on_event = [&](const TokenEvent& event) {
    if (event.finish != FinishReason::kNone || reloaded) return;
    reloaded = set.unload("a").ok() && set.load("a", folder).ok();
  };
  ASSERT_TRUE(engine->engine().submit(std::move(spec)).ok());
  ASSERT_TRUE(engine->engine().run().ok());
  EXPECT_TRUE(reloaded);
  EXPECT_EQ(set.slots(), 1u);
}

// Slots, ids, pages: a thousand comings and goings leave nothing behind.
TEST(AdapterSet, NothingIsLeftBehind) {
  const auto engine = engine_with_adapters(TinyModel().save("set-churn"), "tenon.backend.cpu");
  AdapterSet& set = *engine->adapters();
  std::vector<std::string> folders;
  for (std::uint32_t i = 0; i < 4; ++i)
    folders.push_back(TinyAdapter(i, TinyAdapter::llama_modules(), 1 + static_cast<int>(i) * 5)
                          .save("churn-" + std::to_string(i)));
  std::vector<Answer> want;
  for (const std::string& folder : folders) {
    ASSERT_TRUE(set.load("a", folder).ok());
    want.push_back(answer_of(*engine, "a"));
    ASSERT_TRUE(set.unload("a").ok());
  }
  std::uint32_t most = 0;
  for (std::size_t i = 0; i < 200; ++i) {
    const auto slot = set.load("a", folders[i % 4]);
    ASSERT_TRUE(slot.ok());
    EXPECT_EQ((*slot)->number, 0u);
    for (const std::uint32_t id : (*slot)->weights) most = std::max(most, id);
    EXPECT_TRUE(i % 40 != 0 || answer_of(*engine, "a") == want[i % 4]);
    ASSERT_TRUE(set.unload("a").ok());
    EXPECT_EQ(set.weights(), 0u);
  }
  EXPECT_LT(most, engine->model().weights.size() + 28);
  EXPECT_EQ(engine->engine().live(), 0u);
}

}  // namespace
}  // namespace tenon
