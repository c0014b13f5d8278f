// Backends that state a pack_format: what the host keeps in files is as good as what is loaded.
#include <cstring>

#include "core/conform/backend_rig.h"
#include "core/conform/test.h"
#include "core/load/packed_memory.h"

namespace tenon::conform {
namespace {

using Matrix = BackendRig::Matrix;

Result<std::unique_ptr<BackendRig>> open(const Subject& s) {
  TENON_ASSIGN(ResolvedParams params, s.resolve());
  return BackendRig::open(s.file, std::move(params));
}

bool same_bits(const std::vector<Matrix>& a, const std::vector<Matrix>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(a[i].values.data(), b[i].values.data(), a[i].values.size() * 4) != 0)
      return false;
  return true;
}

// Bits of a gather and of a product, of a weight that was loaded, or packed and adopted.
Result<std::vector<Matrix>> use_weight(const BackendRig& rig, std::int64_t k) {
  const std::uint32_t ids[] = {0};
  const tenon_linear_group group{
      {sizeof group, 0, nullptr}, 0, TENON_EPILOGUE_NONE, -1, 1, 0, ids, -1, 0};
  TENON_TRY(rig.table().prepare_linear_group(&group));
  const std::vector<std::int32_t> rows = {0, 36, 7, 16};
  const tenon_op_gather gather{{sizeof gather, TENON_OP_GATHER, nullptr}, 0, 0, 1};
  TENON_ASSIGN(std::vector<Matrix> out, rig.call(&gather.hdr, {}, {{4, k}}, &rows));
  std::mt19937 random(9);
  const tenon_op_linear_group op{{sizeof op, TENON_OP_LINEAR_GROUP, nullptr}, 0, 0, nullptr};
  TENON_ASSIGN(auto products, rig.call(&op.hdr, {random_matrix(3, k, random)}, {{3, 37}}));
  out.push_back(std::move(products[0]));
  return out;
}

// Packed bytes depend on the weight alone, stay inside what was said, and are as good as loading.
Finding packed_form(const Subject& s, tenon_layout layout, bool has_min, bool wide,
                    bool five_bits) {
  constexpr std::int64_t kRows = 37, kColumns = 96;
  TENON_ASSIGN(const auto rig, open(s));
  TENON_ASSIGN(const auto loaded, open(s));
  std::mt19937 random(5);
  RandomWeight weight(layout, kRows, kColumns, has_min, random, wide);
  if (five_bits) weight.keep_five_bits();
  TENON_TRY(weight.load(loaded->table(), 0));
  const tenon_weight record = weight.record(0);
  const std::uint64_t most = rig->table().packed_bytes(&record);
  std::vector<PackedMemory> copies;
  std::uint64_t bytes[2] = {};
  std::uint32_t form[2] = {};
  for (const int i : {0, 1}) {
    TENON_ASSIGN(PackedMemory memory, PackedMemory::reserve(most + 64));
    std::memset(memory.data(), i == 0 ? 0 : 0xa5, most + 64);
    TENON_TRY(rig->table().pack_weight(&record, memory.data(), most, &bytes[i], &form[i]));
    if (bytes[i] > most) return failed("a packed weight is larger than packed_bytes() said");
    for (std::uint64_t at = bytes[i]; at < most + 64; ++at)
      if (memory.data()[at] != static_cast<std::byte>(i == 0 ? 0 : 0xa5))
        return failed("pack_weight() writes more than it says");
    memory.seal(most + 64);
    copies.push_back(std::move(memory));
  }
  if (bytes[0] != bytes[1] || form[0] != form[1] ||
      std::memcmp(copies[0].data(), copies[1].data(), bytes[0]) != 0)
    return failed("a weight that is packed twice has other bytes");
  if (rig->table().adopt_weight(&record, copies[0].data(), bytes[0] + 64, form[0]).ok() ||
      rig->table().adopt_weight(&record, copies[0].data(), bytes[0], form[0] ^ 0x40000000).ok())
    return failed("packed bytes that cannot be of the weight are taken");
  TENON_TRY(rig->table().adopt_weight(&record, copies[0].data(), bytes[0], form[0]));
  TENON_ASSIGN(const auto got, use_weight(*rig, kColumns));
  TENON_ASSIGN(const auto want, use_weight(*loaded, kColumns));
  if (!same_bits(got, want)) return failed("an adopted weight has other bits than a loaded one");
  return passed();
}

Finding packed_weights(const Subject& s) {
  TENON_ASSIGN(const auto rig, open(s));
  tenon_backend_info info{};
  info.hdr = {sizeof info, 0, nullptr};
  TENON_TRY(rig->table().describe(&info));
  if (info.pack_format.len == 0) return skipped("it keeps weights in a form of its own");
  struct Form {
    tenon_layout layout;
    bool has_min, five_bits = false;
  };
  for (const Form& form : {Form{TENON_LAYOUT_Q4M32, true}, Form{TENON_LAYOUT_Q8M32, false},
                           Form{TENON_LAYOUT_Q8M32, true}, Form{TENON_LAYOUT_Q8M32, false, true},
                           Form{TENON_LAYOUT_Q8M32, true, true}, Form{TENON_LAYOUT_Q8N16, false},
                           Form{TENON_LAYOUT_F32, false}})
    for (const bool wide : {false, true}) {
      Finding found = packed_form(s, form.layout, form.has_min, wide, form.five_bits);
      if (found.outcome != Outcome::kOk) return found;
    }
  return passed();
}

constexpr Test kTests[] = {
    {"backend.packed", "Packed weights are as good as loaded ones.", "backend", packed_weights},
};

}  // namespace

std::span<const Test> pack_tests() { return kTests; }

}  // namespace tenon::conform
