#include "core/conform/rig.h"

#include "core/conform/allocation_watch.h"

namespace tenon::conform {
namespace {

Status idle() {
  return Error{.code = Code::kFailedPrecondition,
               .id = "TENON-K001",
               .message = "this host has no model: the service does nothing"};
}

// The services that only an engine with a model can give.
struct Idle {
  Status call(const tenon_hdr*, tenon_tensor* const*, std::uint32_t, tenon_tensor**,
              std::uint32_t) {
    return idle();
  }
  Status attention(std::int32_t, tenon_tensor*, tenon_tensor*, tenon_tensor*, tenon_tensor**) {
    return idle();
  }
  void port(std::uint32_t, tenon_tensor*) {}
  void release(tenon_tensor*) {}
  Status get_uint(tenon_str, std::uint64_t*) { return idle(); }
  Status get_float(tenon_str, double*) { return idle(); }
  Status get_string(tenon_str, tenon_str*) { return idle(); }
  std::int32_t has_key(tenon_str) { return 0; }
  std::int32_t tensor_shape(tenon_str, std::int64_t*, std::int64_t*) { return 0; }
  Status site(const tenon_site*, std::uint32_t*) { return idle(); }
  Status param(tenon_str, std::int64_t, std::uint32_t*) { return idle(); }
  Status port(tenon_str, std::uint32_t*) { return idle(); }
  Status linear_group(const tenon_linear_group*, std::uint32_t*) { return idle(); }
  Status attention(const tenon_attention_geometry*) { return idle(); }
  Status decoder(const tenon_decoder*) { return idle(); }
  std::uint32_t rank() { return 0; }
  std::uint32_t size() { return 1; }
  Status all_reduce(tenon_tensor*, tenon_tensor**) { return idle(); }
};

const void* idle_service(std::string_view id) {
  static Idle object;
  static const tenon_ops_v1 ops = iface::make_ops_table(&object);
  static const tenon_builder_v1 builder = iface::make_builder_table(&object);
  static const tenon_ranks_v1 ranks = iface::make_ranks_table(&object);
  if (id == TENON_OPS_ID) return &ops;
  if (id == TENON_BUILDER_ID) return &builder;
  if (id == TENON_RANKS_ID) return &ranks;
  return nullptr;
}

}  // namespace

Rig::Rig(const Options& options)
    : pool_(options.threads, options.stripes_per_thread), lent_threads_(&threads_) {
  host_ = {{sizeof host_, 0, nullptr},
           this,
           [](void*, std::int32_t, tenon_str) {},
           [](void* ctx, const char* id) { return static_cast<Rig*>(ctx)->service(id); }};
}

const void* Rig::service(std::string_view id) {
  const Unwatched host;
  asked_.emplace(id);
  return id == TENON_THREADS_ID ? lent_threads_ : idle_service(id);
}

Result<std::unique_ptr<Rig>> Rig::open(const Subject& subject, const Options& options) {
  TENON_ASSIGN(ResolvedParams params, subject.resolve(options.params));
  return open(subject.file, std::move(params), options);
}

Result<std::unique_ptr<Rig>> Rig::open(const PluginFile& file, ResolvedParams params,
                                       const Options& options) {
  auto out = std::unique_ptr<Rig>(new Rig(options));
  if (options.checked) out->party_ = out->boundary_.add_party(file.descriptor.id, nullptr);
  out->lent_threads_ = iface::check_service(out->party_, &out->threads_);
  TENON_ASSIGN(PluginInstance instance,
               PluginInstance::create(file, std::move(params), out->host_, out->party_));
  out->instance_ = std::make_unique<PluginInstance>(std::move(instance));
  return out;
}

}  // namespace tenon::conform
