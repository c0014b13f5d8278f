// Parallelism: shares that make up the model, and a sum that is the same on every rank.
#include <cstring>

#include "core/conform/rig.h"
#include "core/load/model_loader.h"

namespace tenon::conform {
namespace {

constexpr tenon_split_units kModels[] = {{9, 3, 1536, 32}, {4, 1, 2048, 32}, {32, 8, 14336, 32},
                                         {3, 1, 160, 32},  {8, 8, 256, 16},  {6, 2, 96, 32}};

std::string text_of(const tenon_split_units& units, std::uint32_t ranks) {
  return std::to_string(units.q_heads) + "/" + std::to_string(units.kv_heads) + " heads, " +
         std::to_string(units.feed_forward) + " inner values, " + std::to_string(ranks) + " ranks";
}

Result<std::vector<tenon_rank_share>> place(const iface::Parallelism& table,
                                            const tenon_split_units& units, std::uint32_t ranks) {
  tenon_rank_share wall;
  std::memset(&wall, 0x5a, sizeof wall);
  std::vector<tenon_rank_share> out(ranks + 1, wall);
  TENON_TRY(table.place(&units, ranks, out.data()));
  if (std::memcmp(&out[ranks], &wall, sizeof wall) != 0)
    return Error{.code = Code::kInternal,
                 .id = "TENON-K030",
                 .message = "place() writes beyond the shares of its ranks"};
  out.pop_back();
  return out;
}

struct Opened {
  std::unique_ptr<Rig> rig;
  iface::Parallelism table;
};
Result<Opened> open(const Subject& s, bool checked = true) {
  Opened out;
  TENON_ASSIGN(out.rig, Rig::open(s, {.checked = checked}));
  TENON_ASSIGN(out.table,
               (out.rig->as<iface::Parallelism, tenon_parallelism_v1>(TENON_PARALLELISM_ID)));
  return out;
}

Finding one_rank(const Subject& s) {
  TENON_ASSIGN(const Opened p, open(s));
  for (const tenon_split_units& units : kModels) {
    TENON_ASSIGN(const auto shares, place(p.table, units, 1));
    const tenon_rank_share& all = shares[0];
    if (all.q_begin != 0 || all.q_count != units.q_heads || all.kv_begin != 0 ||
        all.kv_count != units.kv_heads || all.feed_forward_begin != 0 ||
        all.feed_forward_count != units.feed_forward)
      return failed("one rank does not hold all of " + text_of(units, 1));
  }
  return passed();
}

Finding covers(const Subject& s) {
  TENON_ASSIGN(const Opened p, open(s));
  int served = 0;
  for (const tenon_split_units& units : kModels)
    for (std::uint32_t ranks = 1; ranks <= 16; ++ranks) {
      const auto shares = place(p.table, units, ranks);
      if (!shares.ok()) continue;
      if (const Status good = check_shares(units, *shares, s.descriptor().id); !good.ok())
        return failed(text_of(units, ranks) + ": " + good.error().to_string());
      served += ranks > 1;
    }
  return served > 0 ? passed() : failed("serves no count of ranks above one");
}

Finding refuses(const Subject& s) {
  TENON_ASSIGN(const Opened p, open(s));
  for (const tenon_split_units& units : kModels)
    for (std::uint32_t ranks = 2; ranks <= 64; ++ranks) {
      const auto shares = place(p.table, units, ranks);
      if (shares.ok()) continue;
      const Error& error = shares.error();
      if (error.id == "TENON-K030") return Finding(error);
      if (error.code != Code::kInvalidArgument)
        return failed(text_of(units, ranks) + ": refused with another code than INVALID_ARGUMENT");
      if (error.message.find_first_of("0123456789") == std::string::npos)
        return failed(text_of(units, ranks) +
                      ": the refusal does not say which counts of ranks work: " + error.message);
    }
  return passed();
}

Finding agrees(const Subject& s) {
  TENON_ASSIGN(const Opened first, open(s));
  TENON_ASSIGN(const Opened second, open(s));
  for (const tenon_split_units& units : kModels)
    for (std::uint32_t ranks = 1; ranks <= 9; ++ranks) {
      const auto a = place(first.table, units, ranks), b = place(second.table, units, ranks);
      if (a.ok() != b.ok() ||
          (a.ok() && std::memcmp(a->data(), b->data(), ranks * sizeof(tenon_rank_share)) != 0))
        return failed(text_of(units, ranks) + ": two ranks place the model differently");
    }
  return passed();
}

Finding granules(const Subject& s) {
  TENON_ASSIGN(const Opened p, open(s));
  for (const tenon_split_units& units : kModels)
    for (std::uint32_t ranks = 2; ranks <= 8; ++ranks) {
      const auto shares = place(p.table, units, ranks);
      if (!shares.ok()) continue;
      for (const tenon_rank_share& share : *shares)
        if (share.feed_forward_begin % units.granule != 0)
          return failed(text_of(units, ranks) + ": the feed-forward is cut through a granule");
    }
  return passed();
}

// A reduce without what it needs is an error, not a crash.
Finding outside_a_step(const Subject& s) {
  TENON_ASSIGN(const Opened p, open(s, false));  // the proxy would make an error of it
  const tenon_reduce_site site{{sizeof site, 0, nullptr}, 0, -1, 1e-5};
  int dummy = 0;
  auto* tensor = reinterpret_cast<tenon_tensor*>(&dummy);
  tenon_tensor* out = nullptr;
  const Status status = p.table.reduce(&site, tensor, tensor, &out);
  if (status.ok()) return failed("reduce() succeeds although every service that it may call fails");
  if (out != nullptr) return failed("reduce() failed and changed `out`");
  return passed();
}

constexpr Test kTests[] = {
    {"parallelism.one-rank", "One rank holds everything.", "parallelism", one_rank},
    {"parallelism.covers", "The shares make up the model.", "parallelism", covers},
    {"parallelism.granule", "Cuts fall between quantisation groups.", "parallelism", granules},
    {"parallelism.refuses", "A count that does not divide is refused, with those that do.",
     "parallelism", refuses},
    {"parallelism.services-fail", "A failing service makes reduce() fail.", "parallelism",
     outside_a_step},
    {"determinism.place", "Every rank places the model alike.", "parallelism", agrees},
};

}  // namespace

std::span<const Test> parallelism_tests() { return kTests; }

}  // namespace tenon::conform
