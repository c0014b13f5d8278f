// What each rank holds, and what happens where ranks meet.
#include "tenon/sdk/testing.hpp"

using tenon::sdk::testing::FakeHost;
using tenon::sdk::testing::OpenedPlugin;
using tenon::sdk::testing::outcome;
using tenon::sdk::testing::RecordingOps;

int main(int, char** argv) {
  RecordingOps ops;
  // Ranks whose sums are new tensors of the same ops.
  const tenon_ranks_v1 ranks = {
      {sizeof ranks, 0, nullptr},
      &ops,
      [](void*) -> std::uint32_t { return 0; },
      [](void*) -> std::uint32_t { return 2; },
      [](void* ctx, tenon_tensor*, tenon_tensor** out, tenon_call*) -> tenon_status {
        *out = static_cast<RecordingOps*>(ctx)->make();
        return TENON_OK;
      }};
  FakeHost host;
  host.offer(TENON_OPS_ID, ops.table()).offer(TENON_RANKS_ID, &ranks);
  const OpenedPlugin<tenon_parallelism_v1> plugin(argv[1], TENON_PARALLELISM_ID, host);

  const auto place = [&](tenon_split_units units, std::uint32_t n, tenon_rank_share* shares) {
    return outcome(
        [&](tenon_call* call) { return plugin->place(plugin.self(), &units, n, shares, call); });
  };
  tenon_rank_share shares[8];
  TENON_CHECK_OK(place({8, 4, 160, 32}, 2, shares));
  TENON_CHECK(shares[1].q_begin == 4 && shares[1].q_count == 4);
  TENON_CHECK(shares[1].kv_begin == 2 && shares[1].kv_count == 2);
  TENON_CHECK(shares[0].feed_forward_count == 64 && shares[1].feed_forward_begin == 64 &&
              shares[1].feed_forward_count == 96);
  TENON_CHECK_OK(place({8, 2, 160, 32}, 4, shares));  // two ranks hold each key-value head
  TENON_CHECK(shares[3].kv_begin == 1 && shares[3].kv_count == 1 && shares[2].kv_begin == 1);
  TENON_CHECK(place({9, 3, 1536, 32}, 2, shares).message().find("that work: 1, 3, 9") !=
              std::string::npos);

  tenon_tensor* partial = ops.make();
  tenon_tensor* residual = ops.make();
  const tenon_reduce_site site{{sizeof site, 0, nullptr}, 0, -1, 0};
  tenon_tensor* out = nullptr;
  TENON_CHECK_OK(outcome([&](tenon_call* call) {
    return plugin->reduce(plugin.self(), &site, partial, residual, &out, call);
  }));
  TENON_CHECK(ops.called() == std::vector<int>{TENON_OP_ADD});
  TENON_CHECK(out != nullptr && ops.held() == 3);  // the caller's two and the answer
  return 0;
}
