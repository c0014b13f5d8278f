// Runs a checked plan through the model: gathers rows, walks the layers, samples. Implements
// tenon.ops/1 for the plugins that compute.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/iface/tables.h"
#include "core/memory/page_pool.h"
#include "core/ops/dispatch.h"
#include "core/runtime/step.h"
#include "core/runtime/step_deltas.h"

namespace tenon {

class Executor {
 public:
  Executor(const ModelShape* model, OpDispatch* ops, iface::Backend backend, iface::Model network,
           iface::Attention attention, std::vector<tenon_layer_plan> layers,
           iface::Parallelism parallelism = {}, bool samples = true);

  // A StepRunner: computes the items through the model.
  Result<StepResult> run(std::span<const BatchItem> items);

  // tenon.ops/1
  Status call(const tenon_hdr* op, Tensor* const* in, std::uint32_t n_in, Tensor** out,
              std::uint32_t n_out);
  Status attention(std::int32_t layer, Tensor* q, Tensor* k, Tensor* v, Tensor** out);
  void port(std::uint32_t port, Tensor* t);
  void release(Tensor* t);

  // Binds an observer to every port: it is given the tensor's rows after a sync, as the backend's
  // activation type. Slow; for comparing backends.
  using PortObserver =
      std::function<void(const std::string& port, const Tensor& tensor, const void* host_data)>;
  void observe_ports(PortObserver observer) { observer_ = std::move(observer); }
  void measure(Profile* profile) { profile_ = profile; }

 private:
  static constexpr std::int32_t kHeadRows = 32;  // rows whose logits exist at once
  Status check_rows();
  Status compute(std::span<const BatchItem> items, Tensor*& x);
  void sort_items(std::span<const BatchItem> items);
  void gather();
  Status reduce_group(const tenon_op_linear_group& op, Tensor* const* in, Tensor** out);
  Result<Tensor*> upload(std::span<const std::int32_t> values);
  Result<Tensor*> rows_of(Tensor* x, std::span<const std::int32_t> rows);
  Status walk_layers(Tensor*& x);
  Status sample(Tensor* x);
  Status sample_block(Tensor* x, std::size_t first, std::size_t count);

  const ModelShape* model_;
  OpDispatch* ops_;
  iface::Backend backend_;
  iface::Model network_;
  iface::Attention attention_;
  iface::Parallelism parallelism_;        // with more than one rank: the sum over them
  bool samples_;                          // false: another rank has the head
  std::vector<tenon_layer_plan> layers_;  // [layers]: where each keeps its state
  PortObserver observer_;
  Profile* profile_ = nullptr;
  Status port_status_;  // a port cannot fail; what its observer met is reported after the layer

  // The running step. Reused from step to step.
  std::vector<std::pair<std::int64_t, std::size_t>> order_;  // slot and place in the plan
  std::vector<BatchItem> items_;                             // in that order
  StepDeltas deltas_;
  std::vector<bool> called_on_all_;  // by linear group: its rows were all of the step
  std::vector<std::int32_t> ids_;
  struct SpecBatch {
    std::vector<tenon_sequence_rows> sequences;
    tenon_attention_batch batch{};
  };
  std::vector<SpecBatch> batches_;         // per cache spec: the same rows, other pages
  std::vector<tenon_read_set> read_sets_;  // [layers]
  std::vector<SampledRow> sampled_;
  std::vector<std::int32_t> sampled_rows_;  // row of each sampled_
  std::vector<tenon_sample_row> sample_params_;
  std::vector<tenon_sample_result> results_;
  std::vector<tenon_token_logprob> top_;  // room for all results' top
};

}  // namespace tenon
