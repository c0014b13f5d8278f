#include "tests/bench/kernels/op_rig.h"

#include <cstdio>
#include <cstdlib>

#include "core/plugin/catalog.h"

namespace tenon::bench {

void must(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "error: %s\n", status.error().to_string().c_str());
  std::exit(1);
}

namespace {

Result<std::unique_ptr<conform::BackendRig>> open(const std::string& isa, std::uint32_t threads) {
  PluginCatalog catalog;
  TENON_TRY(catalog.add_directory(TENON_BINARY_DIR "/plugins"));
  TENON_ASSIGN(const PluginFile* file, catalog.find("tenon.backend.cpu"));
  TENON_ASSIGN(ResolvedParams params, resolve_params(file->descriptor, {{"isa", isa, "bench"}}));
  constexpr std::uint32_t kStripes = 4;  // a thread, as engines have unless they say otherwise
  return conform::BackendRig::open(*file, std::move(params), threads, kStripes);
}

}  // namespace

Operand::Operand(const iface::Backend& backend, std::int64_t rows, std::int64_t columns,
                 std::mt19937& random)
    : backend_(backend), shape_{rows, columns}, strides_{columns, 1} {
  must(backend_.allocate(static_cast<std::uint64_t>(rows * columns) * 4, &data_));
  std::normal_distribution<float> normal(0, 1);
  for (std::int64_t i = 0; i < rows * columns; ++i) static_cast<float*>(data_)[i] = normal(random);
}

Operand::~Operand() { backend_.free(data_); }

tenon_view Operand::rows(std::int64_t count) {
  shape_[0] = count;
  return {data_, {1, 0}, 2, {2, 32, 1}, shape_, strides_, 0};
}

OpRig::OpRig(const std::string& isa, std::uint32_t threads) {
  auto rig = open(isa, threads);
  if (!rig.ok()) must(rig.take_error());
  rig_ = std::move(rig).value();
}

void OpRig::call(const tenon_hdr* op, std::vector<tenon_view> in,
                 std::vector<tenon_view> out) const {
  must(table().call(op, in.data(), static_cast<std::uint32_t>(in.size()), out.data(),
                    static_cast<std::uint32_t>(out.size())));
  must(table().sync());
}

}  // namespace tenon::bench
