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

Rig::Rig(Options options)
    : pool_(options.threads, options.stripes_per_thread),
      lent_threads_(&threads_),
      options_(std::move(options)) {
  host_ = {{sizeof host_, 0, nullptr},
           this,
           [](void* ctx, std::int32_t, tenon_str message) {
             const Unwatched host;
             static_cast<Rig*>(ctx)->log_.emplace_back(message.ptr, message.len);
           },
           [](void* ctx, const char* id) { return static_cast<Rig*>(ctx)->service(id); }};
}

const void* Rig::service(std::string_view id) {
  const Unwatched host;
  asked_.emplace(id);
  if (const auto given = options_.services.find(std::string(id)); given != options_.services.end())
    return given->second;
  if (!options_.idle_services) return nullptr;
  return id == TENON_THREADS_ID ? lent_threads_ : idle_service(id);
}

Result<std::unique_ptr<Rig>> Rig::open(const Subject& subject, Options options) {
  auto out = std::unique_ptr<Rig>(new Rig(std::move(options)));
  if (out->options_.checked)
    out->party_ = out->boundary_.add_party(subject.descriptor().id, nullptr);
  out->lent_threads_ = iface::check_service(out->party_, &out->threads_);
  TENON_ASSIGN(ResolvedParams params, subject.resolve(out->options_.params));
  TENON_ASSIGN(PluginInstance instance,
               PluginInstance::create(subject.file, std::move(params), out->host_, out->party_));
  out->instance_ = std::make_unique<PluginInstance>(std::move(instance));
  return out;
}

}  // namespace tenon::conform
