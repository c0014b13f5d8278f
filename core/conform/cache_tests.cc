// Caches: what is kept is found under its key and nothing else, and everything can be got back.
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "core/conform/plain_plugins.h"
#include "core/conform/random_trace.h"
#include "core/conform/rig.h"

namespace tenon::conform {
namespace {

// The cache beside what it must hold.
struct Cache {
  std::unique_ptr<Rig> rig;
  iface::Cache table;
  // Of each spec: the page that was accepted under a key, and back.
  std::map<std::uint32_t, std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint32_t>> kept;

  static Result<Cache> open(const Subject& s) {
    Cache out;
    TENON_ASSIGN(out.rig, Rig::open(s));
    TENON_ASSIGN(out.table, (out.rig->as<iface::Cache, tenon_cache_v1>(TENON_CACHE_ID)));
    return out;
  }

  Result<std::uint32_t> lookup(std::uint32_t spec, tenon_cache_key key) const {
    std::uint32_t page = 0;
    TENON_TRY(table.lookup(spec, &key, 1, &page));
    return page;
  }
  Result<bool> commit(std::uint32_t spec, tenon_cache_key key, std::uint32_t page,
                      std::int32_t depth = 0) {
    std::int32_t accepted = 7;
    TENON_TRY(table.commit(spec, &key, page, depth, &accepted));
    if (accepted != 0 && accepted != 1)
      return Error{.code = Code::kInternal,
                   .id = "TENON-K020",
                   .message = "commit() answers neither 0 nor 1",
                   .found = std::to_string(accepted)};
    if (accepted == 1) kept[spec][{key.low, key.high}] = page;
    return accepted == 1;
  }
  Result<std::vector<tenon_page_offer>> offers(std::uint32_t spec, std::uint32_t max) const {
    std::vector<tenon_page_offer> out(max + 1);
    out[max].page = 0xabcdef;
    std::uint32_t n = 77;
    TENON_TRY(table.offer(spec, out.data(), max, &n));
    if (n > max || out[max].page != 0xabcdef)
      return Error{.code = Code::kInternal,
                   .id = "TENON-K021",
                   .message = "offer() gives more than there is room for",
                   .found = std::to_string(n),
                   .expected = "at most " + std::to_string(max)};
    out.resize(n);
    return out;
  }
  void evict(std::uint32_t spec, std::uint32_t page) {
    table.evicted(spec, page);
    std::erase_if(kept[spec], [&](const auto& entry) { return entry.second == page; });
  }
};

tenon_cache_key key_of(std::uint64_t i) {
  return {i * 0x9E3779B97F4A7C15u + 1, (i ^ 0x55) * 0xC2B2AE3D27D4EB4Fu};
}

// Fills an empty cache with `n` pages of a spec, each under its own key.
Result<Cache> filled(const Subject& s, std::uint32_t n, std::uint32_t spec = 0) {
  TENON_ASSIGN(Cache cache, Cache::open(s));
  for (std::uint32_t i = 0; i < n; ++i) TENON_TRY(cache.commit(spec, key_of(i), i));
  return cache;
}

Finding knows_nothing(const Subject& s) {
  TENON_ASSIGN(Cache cache, Cache::open(s));
  for (std::uint64_t i = 0; i < 100; ++i) {
    TENON_ASSIGN(const std::uint32_t page, cache.lookup(0, key_of(i)));
    if (page != TENON_NO_PAGE)
      return failed("an empty cache answers with page " + std::to_string(page));
  }
  TENON_ASSIGN(const auto offers, cache.offers(0, 10));
  return offers.empty() ? passed() : failed("an empty cache offers a page");
}

Finding keeps(const Subject& s) {
  TENON_ASSIGN(Cache cache, filled(s, 50));
  if (cache.kept[0].empty()) return failed("accepts none of 50 pages");
  for (std::uint32_t i = 0; i < 50; ++i) {
    TENON_ASSIGN(const std::uint32_t page, cache.lookup(0, key_of(i)));
    const tenon_cache_key key = key_of(i);
    const auto at = cache.kept[0].find({key.low, key.high});
    const std::uint32_t want = at == cache.kept[0].end() ? TENON_NO_PAGE : at->second;
    if (page != want)
      return failed("lookup gives page " + std::to_string(page) + " where " + std::to_string(want) +
                    " was committed");
  }
  return passed();
}

Finding whole_keys(const Subject& s) {
  TENON_ASSIGN(Cache cache, Cache::open(s));
  TENON_TRY(cache.commit(0, {11, 22}, 5));
  for (const tenon_cache_key& key :
       {tenon_cache_key{11, 23}, tenon_cache_key{12, 22}, tenon_cache_key{22, 11},
        tenon_cache_key{11, 0}, tenon_cache_key{0, 22}}) {
    TENON_ASSIGN(const std::uint32_t page, cache.lookup(0, key));
    if (page != TENON_NO_PAGE)
      return failed("a page is found under a key that shares only a half with its own");
  }
  return passed();
}

Finding specs_apart(const Subject& s) {
  TENON_ASSIGN(Cache cache, Cache::open(s));
  TENON_ASSIGN(const bool first, cache.commit(0, key_of(1), 5));
  TENON_ASSIGN(const std::uint32_t other, cache.lookup(1, key_of(1)));
  if (other != TENON_NO_PAGE) return failed("a page of spec 0 is found in spec 1");
  TENON_ASSIGN(const bool second, cache.commit(1, key_of(1), 9));
  TENON_ASSIGN(const std::uint32_t a, cache.lookup(0, key_of(1)));
  TENON_ASSIGN(const std::uint32_t b, cache.lookup(1, key_of(1)));
  if ((first && a != 5) || (second && b != 9))
    return failed("the same key in two specs: lookups give " + std::to_string(a) + " and " +
                  std::to_string(b));
  return passed();
}

Finding twice(const Subject& s) {
  TENON_ASSIGN(Cache cache, Cache::open(s));
  TENON_ASSIGN(const bool first, cache.commit(0, key_of(1), 5));
  TENON_ASSIGN(const bool second, cache.commit(0, key_of(1), 6));
  if (first && second) return failed("accepts two pages under one key; one could never be found");
  return passed();
}

Finding looks_only(const Subject& s) {
  TENON_ASSIGN(Cache cache, filled(s, 8));
  TENON_ASSIGN(const auto before, cache.offers(0, 8));
  for (int i = 0; i < 100; ++i) TENON_TRY(cache.lookup(0, key_of(0)));
  TENON_ASSIGN(const auto after, cache.offers(0, 8));
  const auto values = [](const std::vector<tenon_page_offer>& offers) {
    std::map<std::uint32_t, double> out;
    for (const tenon_page_offer& offer : offers) out[offer.page] = offer.value_per_byte;
    return out;
  };
  return values(before) == values(after) ? passed()
                                         : failed("looking a page up changes what it is worth");
}

Finding forgets(const Subject& s) {
  TENON_ASSIGN(Cache cache, filled(s, 20));
  for (std::uint32_t page = 0; page < 20; page += 2) cache.evict(0, page);
  for (std::uint32_t i = 0; i < 20; i += 2) {
    TENON_ASSIGN(const std::uint32_t page, cache.lookup(0, key_of(i)));
    if (page != TENON_NO_PAGE)
      return failed("answers with page " + std::to_string(page) + " after it was evicted");
  }
  TENON_ASSIGN(const auto offers, cache.offers(0, 20));
  for (const tenon_page_offer& offer : offers)
    if (offer.page % 2 == 0)
      return failed("offers page " + std::to_string(offer.page) + " after it was evicted");
  return passed();
}

Finding offers_its_own(const Subject& s) {
  TENON_ASSIGN(Cache cache, filled(s, 40));
  std::set<std::uint32_t> kept;
  for (const auto& [key, page] : cache.kept[0]) kept.insert(page);
  for (const std::uint32_t max : {0u, 1u, 7u, 40u, 200u}) {
    TENON_ASSIGN(const auto offers, cache.offers(0, max));
    std::set<std::uint32_t> seen;
    for (const tenon_page_offer& offer : offers) {
      if (!kept.contains(offer.page))
        return failed("offers page " + std::to_string(offer.page) + ", which it does not keep");
      if (!seen.insert(offer.page).second)
        return failed("offers page " + std::to_string(offer.page) + " twice");
      if (!std::isfinite(offer.value_per_byte))
        return failed("a page's value is not a finite number");
    }
  }
  TENON_ASSIGN(const auto others, cache.offers(3, 10));
  return others.empty() ? passed() : failed("offers pages of another spec");
}

// The core may need every page; one that is never offered is lost.
Finding gives_all_back(const Subject& s) {
  TENON_ASSIGN(Cache cache, filled(s, 64));
  for (int round = 0; round < 64 && !cache.kept[0].empty(); ++round) {
    TENON_ASSIGN(const auto offers, cache.offers(0, 1));
    if (offers.empty())
      return failed(std::to_string(cache.kept[0].size()) + " pages are kept and none is offered");
    cache.evict(0, offers[0].page);
  }
  return passed();
}

Finding strangers(const Subject& s) {
  TENON_ASSIGN(Cache cache, filled(s, 4));
  const std::uint32_t unknown[] = {900, 901, 2};
  TENON_TRY(cache.table.use(0, unknown, 3));
  TENON_TRY(cache.table.use(5, unknown, 3));
  TENON_TRY(cache.table.use(0, unknown, 0));
  cache.table.evicted(0, 900);
  cache.table.evicted(7, 1);
  TENON_TRY(cache.table.lookup(0, nullptr, 0, nullptr));
  TENON_ASSIGN(const std::uint32_t page, cache.lookup(0, key_of(3)));
  const tenon_cache_key key = key_of(3);
  if (cache.kept[0].contains({key.low, key.high}) && page != 3)
    return failed("pages that it does not keep change what it keeps");
  return passed();
}

Finding instances_apart(const Subject& s) {
  TENON_ASSIGN(Cache first, filled(s, 10));
  TENON_ASSIGN(Cache second, Cache::open(s));
  for (std::uint32_t i = 0; i < 10; ++i) {
    TENON_ASSIGN(const std::uint32_t page, second.lookup(0, key_of(i)));
    if (page != TENON_NO_PAGE) return failed("one instance answers with the pages of another");
  }
  return passed();
}

Finding large(const Subject& s) {
  constexpr std::uint32_t kPages = 20000;
  TENON_ASSIGN(Cache cache, filled(s, kPages));
  TENON_ASSIGN(const auto offers, cache.offers(0, kPages));
  if (offers.size() != cache.kept[0].size())
    return failed("keeps " + std::to_string(cache.kept[0].size()) + " pages and offers " +
                  std::to_string(offers.size()) + " of them");
  for (const tenon_page_offer& offer : offers) cache.evict(0, offer.page);
  TENON_ASSIGN(const auto left, cache.offers(0, 10));
  return left.empty() ? passed() : failed("offers pages that have been evicted");
}

// Random calls beside a model of what must be true.
Finding random_calls(const Subject& s) {
  std::mt19937_64 random(s.seed);
  TENON_ASSIGN(Cache cache, Cache::open(s));
  std::set<std::pair<std::uint32_t, std::uint32_t>> in_use;
  for (int i = 0; i < 20000 * s.effort; ++i) {
    const auto spec = static_cast<std::uint32_t>(random() % 2);
    const tenon_cache_key key = key_of(random() % 60);
    const auto page = static_cast<std::uint32_t>(random() % 80);
    const std::string call = "call " + std::to_string(i) + " of seed " + std::to_string(s.seed);
    switch (random() % 5) {
      case 0: {
        bool taken = false;
        for (const auto& [k, p] : cache.kept[spec]) taken = taken || p == page;
        const bool known = cache.kept[spec].contains({key.low, key.high});
        if (taken || known) break;  // the core offers neither
        TENON_TRY(cache.commit(spec, key, page, static_cast<std::int32_t>(random() % 9)));
        break;
      }
      case 1: {
        TENON_ASSIGN(const std::uint32_t got, cache.lookup(spec, key));
        const auto at = cache.kept[spec].find({key.low, key.high});
        if (got != (at == cache.kept[spec].end() ? TENON_NO_PAGE : at->second))
          return failed(call + ": lookup gives page " + std::to_string(got) +
                        ", which is not what is kept under that key");
        break;
      }
      case 2:
        TENON_TRY(cache.table.use(spec, &page, 1));
        break;
      case 3: {
        TENON_ASSIGN(const auto offers, cache.offers(spec, 3));
        if (offers.empty() != cache.kept[spec].empty())
          return failed(call + ": keeps " + std::to_string(cache.kept[spec].size()) +
                        " pages and offers " + std::to_string(offers.size()));
        if (!offers.empty()) cache.evict(spec, offers[0].page);
        break;
      }
      default:
        if (random() % 4 == 0) cache.evict(spec, page);
    }
  }
  return passed();
}

Finding same_again(const Subject& s) {
  std::vector<std::string> runs;
  for (int run = 0; run < 2; ++run) {
    std::mt19937_64 random(s.seed);
    TENON_ASSIGN(Cache cache, filled(s, 30));
    std::string text;
    for (int i = 0; i < 200; ++i) {
      const auto page = static_cast<std::uint32_t>(random() % 30);
      TENON_TRY(cache.table.use(0, &page, 1));
      TENON_ASSIGN(const auto offers, cache.offers(0, 5));
      for (const tenon_page_offer& offer : offers)
        text += std::to_string(offer.page) + "=" + std::to_string(offer.value_per_byte) + " ";
    }
    runs.push_back(text);
  }
  return runs[0] == runs[1] ? passed() : failed("the same calls give other offers");
}

// Under the real page memory and engine: answers stay right, and no page is lost.
Finding traces(const Subject& s) {
  for (int i = 0; i < 3000 * s.effort; ++i) {
    const auto seed = static_cast<std::uint32_t>(s.seed) + static_cast<std::uint32_t>(i);
    std::mt19937 random(seed);
    const RandomTrace trace(random);
    TENON_ASSIGN(const Cache cache, Cache::open(s));
    PlainScheduler scheduler;
    SimulatedEngine engine(trace.pools, scheduler.wrapped(), {cache.table});
    const auto steps = run_trace(engine, trace);
    if (!steps.ok())
      return failed(steps.error().to_string() + " (trace of seed " + std::to_string(seed) + ")");
  }
  return passed();
}

constexpr Test kTests[] = {
    {"cache.empty", "An empty cache knows nothing.", "cache", knows_nothing},
    {"cache.keeps", "What was accepted is found under its key.", "cache", keeps},
    {"cache.keys", "Both halves of a key count.", "cache", whole_keys},
    {"cache.specs", "Specs do not mix.", "cache", specs_apart},
    {"cache.twice", "One page is kept under a key.", "cache", twice},
    {"cache.lookup", "Looking a page up changes nothing.", "cache", looks_only},
    {"cache.evicted", "An evicted page is forgotten.", "cache", forgets},
    {"cache.offers", "Offers are its own pages, once each, within the room.", "cache",
     offers_its_own},
    {"cache.all-back", "Every page can be got back.", "cache", gives_all_back},
    {"cache.strangers", "Pages that it does not keep change nothing.", "cache", strangers},
    {"cache.large", "Twenty thousand pages come and go.", "cache", large},
    {"cache.traces", "Random traces: answers right, no page lost.", "cache", traces},
    {"state.cache", "Random calls beside a model of them.", "cache", random_calls},
    {"state.cache-instances", "Instances share nothing.", "cache", instances_apart},
    {"determinism.cache", "The same calls give the same offers.", "cache", same_again},
};

}  // namespace

std::span<const Test> cache_tests() { return kTests; }

}  // namespace tenon::conform
