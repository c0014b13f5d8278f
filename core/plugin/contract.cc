#include "core/plugin/contract.h"

#include "core/plugin/vocabulary.h"

namespace tenon {
namespace {

struct Reading {
  const PluginDescriptor& descriptor;
  const ResolvedParams& params;
  Contract& out;

  Status add(ClaimField field, const std::string& text, const std::string& reason = "") {
    TENON_ASSIGN(Claim claim, parse_claim(text, descriptor.params, descriptor.id));
    TENON_TRY(check_words(claim, field, descriptor.id, descriptor.kind, out.where));
    ContractClaim& added = out.claims.emplace_back();
    added.field = field;
    added.reason = reason;
    if (claim.condition) {
      added.holds = holds(*claim.condition, params);
      added.looked = values_text(*claim.condition, params);
    }
    added.claim = std::move(claim);
    return {};
  }
};

}  // namespace

std::string Contract::name() const { return id + " (" + role + ")"; }

Result<Contract> make_contract(const std::string& role, const PluginDescriptor& descriptor,
                               const ResolvedParams& params, const std::string& where) {
  Contract out{.role = role,
               .kind = descriptor.kind,
               .id = descriptor.id,
               .version = descriptor.version,
               .where = where};
  Reading reading{descriptor, params, out};
  for (const std::string& text : descriptor.provided)
    TENON_TRY(reading.add(ClaimField::kProvides, text));
  for (const std::string& text : descriptor.required)
    TENON_TRY(reading.add(ClaimField::kRequires, text));
  for (const std::string& text : descriptor.conflicts)
    TENON_TRY(reading.add(ClaimField::kConflicts, text));
  for (const Wish& wish : descriptor.prefers)
    TENON_TRY(reading.add(ClaimField::kPrefers, wish.claim, wish.reason));
  for (const Wish& wish : descriptor.avoids)
    TENON_TRY(reading.add(ClaimField::kAvoids, wish.claim, wish.reason));
  ContractClaim& numerics = out.claims.emplace_back();
  numerics.claim.token = std::string("numerics.") + numerics_name(descriptor.numerics);
  return out;
}

}  // namespace tenon
