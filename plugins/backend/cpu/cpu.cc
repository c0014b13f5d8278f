// The CPU backend: keeps weights packed, turns op records into commands of the engine's stripe
// pool. A call returns once its commands are submitted; they run in order. Nothing here allocates
// once the shapes of a step have been seen.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <map>
#include <string>

#include "attend.h"
#include "linear_group.h"
#include "tenon/sdk/sample.hpp"

namespace tenon::cpu {
namespace {

using sdk::Status;

bool machine_has_avx512vnni() {
#ifdef TENON_AVX512_EMULATION
  return true;
#endif
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

const Kernels& choose_kernels(std::string_view isa) {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("f16c"))
    throw std::runtime_error(
        "tenon.backend.cpu needs AVX2, FMA and F16C (x86-64-v3); this machine lacks one of them; "
        "use tenon.backend.reference");
  if (isa == "avx2" || (isa == "auto" && !machine_has_avx512vnni())) return avx2_kernels();
  if (!machine_has_avx512vnni())
    throw std::runtime_error(
        "parameter isa is avx512vnni, which this machine does not have; use auto or avx2");
  return avx512vnni_kernels();
}

class CpuBackend {
 public:
  CpuBackend(const sdk::Host& host, const sdk::Params& params)
      : threads_(host.required<tenon_threads_v1>(TENON_THREADS_ID)),
        kernels_(choose_kernels(params.get_string("isa"))),
        device_(std::string("cpu ") + kernels_.name),
        linear_(threads_.count()),
        sample_scratch_(threads_.count()) {}

  Status describe(tenon_backend_info* out) const {
    out->device = sdk::str_of(device_);
    out->numerics = sdk::str_of("contract/1");
    out->pack_format = sdk::str_of(kPackFormat);
    out->activation = {2, 32, 1};
    out->memory = {1, 0};
    return {};
  }

  Status allocate(uint64_t bytes, void** out) {
    *out = allocate_aligned(bytes);
    return *out != nullptr ? Status()
                           : Status(TENON_RESOURCE_EXHAUSTED,
                                    "no memory for " + std::to_string(bytes) + " bytes");
  }
  void free(void* memory) { std::free(memory); }

  // Host memory is device memory: a write is a command, so that it keeps its place in the stream.
  Status write(void* to, const void* from, uint64_t bytes) {
    struct Args {
      void* to;
      const void* from;
      uint64_t bytes;
    };
    const Args args{to, from, bytes};
    threads_.submit(
        [](const void* raw, uint32_t, uint32_t, uint32_t) {
          std::memcpy(static_cast<const Args*>(raw)->to, static_cast<const Args*>(raw)->from,
                      static_cast<const Args*>(raw)->bytes);
        },
        &args, sizeof args, 1);
    return {};
  }
  Status read(const void* from, void* to, uint64_t bytes) {
    threads_.wait();
    std::memcpy(to, from, bytes);
    return {};
  }

  Status load_weight(const tenon_weight* in) {
    if (in->use != TENON_WEIGHT_USE_PRODUCT) {
      if (factors_.size() <= in->id) factors_.resize(in->id + 1);
      factors_[in->id] = pack_factor(*in);
      return {};
    }
    for (const PackForm form : pack_forms(*in)) {
      PackedWeight packed = shape_weight(*in, form);
      packed.own = aligned_bytes(packed.bytes());
      packed.tiles_at = packed.own.get();
      if (!pack(*in, packed)) continue;
      weight(in->id) = std::move(packed);
      break;
    }
    return {};
  }

  uint64_t packed_bytes(const tenon_weight* in) const {
    return shape_weight(*in, pack_forms(*in).back()).bytes();
  }

  // The first tile with a value that a form has no room for ends its try.
  Status pack_weight(const tenon_weight* in, void* memory, uint64_t room, uint64_t* bytes,
                     uint32_t* form) {
    for (const PackForm& attempt : pack_forms(*in)) {
      PackedWeight packed = shape_weight(*in, attempt);
      if (packed.bytes() > room) return sdk::invalid_argument("too little room for a weight");
      packed.tiles_at = static_cast<std::byte*>(memory);
      if (!pack(*in, packed)) continue;
      *bytes = packed.bytes();
      *form = attempt.word();
      break;
    }
    return {};
  }

  Status adopt_weight(const tenon_weight* in, const void* memory, uint64_t bytes, uint32_t form) {
    const auto forms = pack_forms(*in);
    const auto found =
        std::find_if(forms.begin(), forms.end(), [&](PackForm f) { return f.word() == form; });
    if (found == forms.end() || bytes != shape_weight(*in, *found).bytes())
      return sdk::invalid_argument("the packed bytes are not of this weight: form " +
                                   std::to_string(form) + ", " + std::to_string(bytes) + " bytes");
    PackedWeight packed = shape_weight(*in, *found);
    packed.tiles_at = static_cast<std::byte*>(const_cast<void*>(memory));
    weight(in->id) = std::move(packed);
    return {};
  }

  void free_weight(uint32_t id) {
    if (id < weights_.size()) weights_[id] = {};
    if (id < factors_.size()) factors_[id] = {};
  }

  Status prepare_linear_group(const tenon_linear_group* in) {
    if (in->n_weights > 4) return sdk::unimplemented("a linear group of more than 4 weights");
    if (groups_.size() <= in->id) groups_.resize(in->id + 1);
    LinearGroup& group = groups_[in->id];
    group.id = in->id;
    group.epilogue = static_cast<tenon_epilogue>(in->epilogue);
    group.norm_eps = static_cast<float>(in->norm_eps);
    group.norm = norm_of(in->norm);
    group.post_norm = norm_of(in->post_norm);
    for (uint32_t i = 0; i < in->n_weights; ++i) group.weights.push_back(&weights_[in->weights[i]]);
    for (const PackedWeight* w : group.weights)
      if ((w->layout == TENON_LAYOUT_F32) != (group.weights[0]->layout == TENON_LAYOUT_F32))
        return sdk::unimplemented("a linear group that mixes f32 and quantised weights");
    return {};
  }

  Status prepare_attend(const tenon_attend_prepare* in) {
    setup_.geometry = *in->geometry;
    if (setup_.geometry.head_dim % 8 != 0 || setup_.geometry.head_dim > 256)
      return sdk::unimplemented("heads of " + std::to_string(setup_.geometry.head_dim) +
                                " values; known: multiples of 8 up to 256");
    for (std::int32_t i = 0; i < setup_.geometry.layers; ++i) {
      const tenon_attention_layer& layer = in->geometry->of_layer[i];
      sdk::RopeTable<float>& rope = setup_.rope.try_emplace(layer.rope_base, *in, i).first->second;
      rope_of_layer_.push_back(&rope);
      setup_.layers.push_back({in->spec_of_layer[i], layer.window, norm_of(layer.q_norm),
                               norm_of(layer.k_norm), rope.row(0)});
    }
    setup_.geometry.of_layer = nullptr;  // borrowed; what it said is in setup_.layers
    room_ = attend_room(setup_.geometry, threads_);
    setup_.pools.resize(in->n_specs);
    for (uint32_t i = 0; i < in->n_specs; ++i) setup_.pools[i].spec = in->specs[i];
    return {};
  }

  uint64_t kv_page_bytes(uint32_t spec) const { return setup_.pools[spec].page_bytes(); }
  Status kv_create(uint32_t spec, uint32_t n_pages) {
    KvPool& pool = setup_.pools[spec];
    pool.n_pages = n_pages;
    pool.bytes = aligned_bytes(pool.page_bytes() * n_pages);
    return {};
  }
  Status kv_copy_page(uint32_t spec, uint32_t from, uint32_t to) {
    const KvPool& pool = setup_.pools[spec];
    return write(pool.bytes.get() + pool.page_bytes() * to,
                 pool.bytes.get() + pool.page_bytes() * from, pool.page_bytes());
  }
  Status kv_poison_page(uint32_t spec, uint32_t page) {
    threads_.wait();
    const KvPool& pool = setup_.pools[spec];
    auto* values = reinterpret_cast<std::uint16_t*>(pool.bytes.get() + pool.page_bytes() * page);
    std::fill_n(values, pool.page_values(), std::uint16_t{0x7e00});
    return {};
  }

  Status call(const tenon_hdr* op, const tenon_view* in, uint32_t, const tenon_view* out,
              uint32_t n_out) {
    switch (op->type) {
      case TENON_OP_GATHER:
        return gather(*reinterpret_cast<const tenon_op_gather*>(op), in, out);
      case TENON_OP_LINEAR_GROUP:
        return linear_group(*reinterpret_cast<const tenon_op_linear_group*>(op), in, out, n_out);
      case TENON_OP_ATTEND:
        return attend(*reinterpret_cast<const tenon_op_attend*>(op), in, out);
      case TENON_OP_ADD:
        return add(*reinterpret_cast<const tenon_op_add*>(op), in, out);
      case TENON_OP_SAMPLE:
        return sample(*reinterpret_cast<const tenon_op_sample*>(op), in);
      default:
        return sdk::unimplemented("op " + std::to_string(op->type));
    }
  }

  Status sync() {
    threads_.wait();
    if (bad_id_.exchange(false)) return sdk::invalid_argument("gather: an id is outside the table");
    return {};
  }
  Status take_fault(tenon_row_fault* out) {
    linear_.faults.take(out);
    return {};
  }

 private:
  PackedWeight& weight(uint32_t id) {
    if (weights_.size() <= id) weights_.resize(id + 1);
    return weights_[id];
  }

  // Packs on all threads and waits: the source is borrowed. False as pack_tiles says.
  bool pack(const tenon_weight& source, PackedWeight& out) const {
    struct Args {
      const tenon_weight* source;
      PackedWeight* packed;
      std::atomic<bool>* failed;
    };
    std::atomic<bool> failed{false};
    const Args args{&source, &out, &failed};
    const auto run = [](const void* raw, uint32_t stripe, uint32_t count, uint32_t) {
      const auto& a = *static_cast<const Args*>(raw);
      const std::int64_t tiles = a.packed->tiles();
      if (!pack_tiles(*a.source, *a.packed, tiles * stripe / count, tiles * (stripe + 1) / count))
        a.failed->store(true);
    };
    threads_.submit(run, &args, sizeof args, stripes(out.tiles()));
    threads_.wait();
    return !failed;
  }

  static const float* floats(const tenon_view& view) {
    return static_cast<const float*>(view.data);
  }

  // A norm's scale as plain floats (a packed f32 weight interleaves 16 outputs); null for -1.
  const float* norm_of(std::int32_t weight) {
    if (weight < 0) return nullptr;
    std::vector<float>& row = norms_[weight];
    if (row.empty()) {
      const PackedWeight& w = weights_[static_cast<std::size_t>(weight)];
      row.resize(static_cast<std::size_t>(w.k));
      unpack_row(w, 0, row.data());
    }
    return row.data();
  }

  std::uint32_t stripes(std::int64_t pieces) const {
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(
        pieces, 1, std::int64_t{threads_.count()} * threads_.stripes_per_thread()));
  }

  struct GatherArgs {
    const PackedWeight* weight;  // or null: base
    const float* base;
    const std::int32_t* ids;
    std::int64_t rows, limit, values;
    float scale;  // of rows of a weight
    float* out;
    std::atomic<bool>* bad_id;
  };

  static void gather_rows(const void* raw, uint32_t stripe, uint32_t count, uint32_t) {
    const auto& a = *static_cast<const GatherArgs*>(raw);
    const std::int64_t end = a.rows * (stripe + 1) / count;
    for (std::int64_t r = a.rows * stripe / count; r < end; ++r) {
      const std::int32_t id = a.ids[r];
      float* y = a.out + r * a.values;
      if (id < 0 || id >= a.limit) {
        a.bad_id->store(true);
        std::fill_n(y, a.values, 0.0f);
      } else if (a.weight != nullptr) {
        unpack_row(*a.weight, id, y);
        for (std::int64_t i = 0; i < a.values; ++i) y[i] *= a.scale;
      } else {
        std::copy_n(a.base + id * a.values, a.values, y);
      }
    }
  }

  Status gather(const tenon_op_gather& op, const tenon_view* in, const tenon_view* out) {
    const PackedWeight* weight =
        op.weight >= 0 ? &weights_[static_cast<std::size_t>(op.weight)] : nullptr;
    const GatherArgs args{weight,
                          weight != nullptr ? nullptr : floats(in[1]),
                          static_cast<const std::int32_t*>(in[0].data),
                          in[0].shape[0],
                          weight != nullptr ? weight->n : in[1].shape[0],
                          out[0].shape[1],
                          static_cast<float>(op.scale),
                          static_cast<float*>(out[0].data),
                          &bad_id_};
    threads_.submit(&gather_rows, &args, sizeof args, stripes(args.rows));
    return {};
  }

  Status linear_group(const tenon_op_linear_group& op, const tenon_view* in, const tenon_view* out,
                      uint32_t n_out) {
    const LinearGroup& group = groups_[op.group];
    const std::int64_t rows = in[0].shape[0], k = in[0].shape[1];
    LowRankCall deltas = low_rank_call(op, group.weights.size(), rows, k);
    const std::int64_t values = deltas.entries() * deltas.padded_rank;
    if (!linear_.fits(rows, k) ||
        (deltas.n_deltas > 0 && !deltas_.fits(deltas.entries(), values))) {
      threads_.wait();
      linear_.grow(rows, k);
      if (deltas.n_deltas > 0) deltas_.grow(deltas.entries(), values);
    }
    deltas.kernels = &kernels_;
    deltas.factors = &factors_;
    deltas.out = deltas_.rows();
    deltas.values = deltas_.values();
    float* outs[4] = {};
    for (uint32_t i = 0; i < n_out; ++i) outs[i] = static_cast<float*>(out[i].data);
    submit_linear_group(threads_, kernels_, group, linear_, deltas, floats(in[0]), rows, k,
                        group.epilogue == TENON_EPILOGUE_RESIDUAL ? floats(in[1]) : nullptr, outs);
    return {};
  }

  // Angles of positions that no op has reached before.
  void reach_positions(const tenon_op_attend& op) {
    sdk::RopeTable<float>& rope = *rope_of_layer_[static_cast<std::size_t>(op.layer)];
    const std::int32_t first = rope.reached(), end = rope.reach(sdk::end_of(*op.batch));
    if (first == end) return;
    struct Args {
      sdk::RopeTable<float>* rope;
      std::int32_t first, end;
    };
    const Args args{&rope, first, end};
    threads_.submit(
        [](const void* raw, uint32_t stripe, uint32_t count, uint32_t) {
          const auto& a = *static_cast<const Args*>(raw);
          const std::int64_t rows = a.end - a.first;
          a.rope->fill(a.first + static_cast<std::int32_t>(rows * stripe / count),
                       a.first + static_cast<std::int32_t>(rows * (stripe + 1) / count));
        },
        &args, sizeof args, stripes(end - first));
  }

  Status attend(const tenon_op_attend& op, const tenon_view* in, const tenon_view* out) {
    reach_positions(op);
    const AttendCut cut = cut_attend(setup_, op, threads_);
    if (const std::int64_t most = partial_floats(setup_, cut); most > room_.partial_floats) {
      threads_.wait();
      room_.partials = aligned_bytes(static_cast<std::size_t>(2 * most) * 4);
      room_.partial_floats = 2 * most;  // last: what throws leaves the old room as it was
    }
    submit_attend(threads_, kernels_, setup_, op, cut, room_, floats(in[0]), floats(in[1]),
                  floats(in[2]), static_cast<float*>(out[0].data));
    return {};
  }

  Status add(const tenon_op_add& op, const tenon_view* in, const tenon_view* out) {
    submit_add(threads_, kernels_, norm_of(op.norm), static_cast<float>(op.norm_eps), floats(in[0]),
               floats(in[1]), out[0].shape[0], out[0].shape[1], static_cast<float*>(out[0].data));
    return {};
  }

  struct SampleArgs {
    const float* logits;
    std::int64_t rows, n;
    const tenon_sample_row* params;
    tenon_sample_result* results;
    sdk::SampleScratch* scratch;  // one per worker
    const Kernels* kernels;
  };

  Status sample(const tenon_op_sample& op, const tenon_view* in) {
    if (sample_room_ < in[0].shape[1]) {  // for every worker: which of them samples is chance
      threads_.wait();
      sample_room_ = in[0].shape[1];
      for (sdk::SampleScratch& scratch : sample_scratch_)
        scratch.reserve(static_cast<std::size_t>(sample_room_));
    }
    const SampleArgs args{floats(in[0]), in[0].shape[0],         in[0].shape[1], op.rows,
                          op.results,    sample_scratch_.data(), &kernels_};
    threads_.submit(
        [](const void* raw, uint32_t stripe, uint32_t count, uint32_t worker) {
          const auto& a = *static_cast<const SampleArgs*>(raw);
          for (std::int64_t r = stripe; r < a.rows; r += count)
            sdk::sample_row(a.logits + r * a.n, a.n, a.params[r], a.scratch[worker], a.results[r],
                            *a.kernels);
        },
        &args, sizeof args, stripes(args.rows));
    return {};
  }

  sdk::ThreadsService threads_;
  const Kernels& kernels_;
  std::string device_;
  std::deque<PackedWeight> weights_;                  // addresses stay
  std::deque<Factor> factors_;                        // of adapters, by weight id
  std::map<std::int32_t, std::vector<float>> norms_;  // by weight
  std::vector<LinearGroup> groups_;
  AttendSetup setup_;
  AttendRoom room_;
  LinearRoom linear_;
  std::vector<sdk::RopeTable<float>*> rope_of_layer_;
  DeltaScratch deltas_;
  std::vector<sdk::SampleScratch> sample_scratch_;  // one per worker
  std::int64_t sample_room_ = 0;
  std::atomic<bool> bad_id_{false};
};

}  // namespace
}  // namespace tenon::cpu

TENON_PLUGIN(tenon::cpu::CpuBackend, TENON_BACKEND_ID, BackendTable);
