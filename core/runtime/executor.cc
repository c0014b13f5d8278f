#include "core/runtime/executor.h"

#include <algorithm>
#include <new>
#include <utility>

#include "core/runtime/read_set_check.h"

namespace tenon {

Executor::Executor(const ModelShape* model, OpDispatch* ops, iface::Backend backend,
                   iface::Model network, iface::Attention attention,
                   std::vector<tenon_layer_plan> layers, iface::Parallelism parallelism,
                   bool samples)
    : model_(model),
      ops_(ops),
      backend_(backend),
      network_(network),
      attention_(attention),
      parallelism_(parallelism),
      samples_(samples),
      layers_(std::move(layers)),
      deltas_(model->groups.size()),
      called_on_all_(model->groups.size()),
      read_sets_(static_cast<std::size_t>(model->decoder.layers)) {
  std::int32_t specs = 0;
  for (const tenon_layer_plan& layer : layers_) specs = std::max(specs, layer.spec + 1);
  batches_.resize(static_cast<std::size_t>(specs));
}

// No row's bits depend on its place, so rows go where they make the fewest segments; those of one
// adapter keep the plan's order.
void Executor::sort_items(std::span<const BatchItem> items) {
  order_.clear();
  for (std::size_t i = 0; i < items.size(); ++i) {
    const AdapterSlot* slot = items[i].request->adapter.slot();
    order_.push_back({slot == nullptr ? -1 : std::int64_t{slot->number}, i});
  }
  std::sort(order_.begin(), order_.end());
  items_.clear();
  for (const auto& [slot, index] : order_) items_.push_back(items[index]);
}

void Executor::gather() {
  deltas_.begin();
  deltas_.open_rows();
  ids_.clear();
  for (SpecBatch& spec : batches_) spec.sequences.clear();
  sampled_.clear();
  sampled_rows_.clear();
  for (const BatchItem& item : items_) {
    const auto row = static_cast<std::int32_t>(ids_.size());
    Request& request = *item.request;
    deltas_.add_rows(request.adapter.slot(), item.end - item.begin);
    ids_.insert(ids_.end(), request.tokens.begin() + item.begin, request.tokens.begin() + item.end);
    for (std::size_t i = 0; i < batches_.size(); ++i)
      batches_[i].sequences.push_back({row, item.end - item.begin, item.begin,
                                       pages_for_tokens(item.end), request.kv[i].pages.data(),
                                       request.kv[i].first, 0});
    append_sampled_rows(item, sampled_);
    while (sampled_rows_.size() < sampled_.size())
      sampled_rows_.push_back(row + sampled_[sampled_rows_.size()].position - 1 - item.begin);
  }
  for (auto& [sequences, batch] : batches_)
    batch = {{sizeof batch, 0, nullptr},
             sequences.data(),
             static_cast<std::int32_t>(sequences.size()),
             static_cast<std::int32_t>(ids_.size())};
}

Result<Tensor*> Executor::upload(std::span<const std::int32_t> values) {
  TENON_ASSIGN(Tensor * tensor,
               ops_->pool().make({kInt32, 1, {static_cast<std::int64_t>(values.size()), 1}}));
  if (Status status = backend_.write(tensor->data, values.data(), values.size_bytes());
      !status.ok()) {
    release(tensor);
    return status.take_error();
  }
  return tensor;
}

Result<StepResult> Executor::run(std::span<const BatchItem> items) {
  const ProfileSpan span(profile_, Profile::kRun);
  Tensor* x = nullptr;
  Status status;
  try {
    status = compute(items, x);
  } catch (const std::bad_alloc&) {  // many rows with many log-probabilities each, for instance
    status = Error{.code = Code::kResourceExhausted,
                   .id = "TENON-R026",
                   .message = "no memory for the step's rows",
                   .found = std::to_string(ids_.size()) + " rows, " +
                            std::to_string(sampled_.size()) + " of them sampled",
                   .fix = "ask for fewer log-probabilities or lower the scheduler's batch tokens"};
  }
  release(x);
  Status synced = backend_.sync();  // also after an error: queued work refers to this step's arrays
  TENON_TRY(std::move(status));
  TENON_TRY(std::move(synced));
  TENON_TRY(check_rows());
  return StepResult{sampled_, std::span(results_).first(sampled_.size())};
}

// Rows that are no numbers end the step before anything of it counts: no token, no page of a cache.
Status Executor::check_rows() {
  tenon_row_fault fault{{sizeof fault, 0, nullptr}, 0, -1};
  TENON_TRY(backend_.take_fault(&fault));
  if (fault.row < 0) return {};
  std::string site, where;
  if (fault.group < model_->groups.size())
    for (const std::uint32_t weight : model_->groups[fault.group].weights)
      site += (site.empty() ? "" : ", ") + model_->weights[weight].name;
  // The head's rows are those that are sampled.
  const bool all_rows = fault.group < called_on_all_.size() && called_on_all_[fault.group];
  for (std::size_t i = 0, row = 0; i < items_.size() && all_rows; ++i) {
    const BatchItem& item = items_[i];
    const auto in_item = static_cast<std::int64_t>(fault.row) - static_cast<std::int64_t>(row);
    if (in_item < item.end - item.begin) {
      where = "request " + std::to_string(item.request->id) + ", position " +
              std::to_string(item.begin + in_item) + ", ";
      break;
    }
    row += static_cast<std::size_t>(item.end - item.begin);
  }
  return Error{.code = Code::kDataLoss,
               .id = "TENON-R029",
               .message = "an activation is NaN or infinite",
               .where = where + "on its way into " + site,
               .found = "row " + std::to_string(fault.row) + " of that product's input",
               .expected = "finite numbers",
               .fix =
                   "check the model file and the adapter of that request; abort it and the "
                   "others go on"};
}

// `x` is the stream as far as it has come; it is the caller's, also after an error.
Status Executor::compute(std::span<const BatchItem> items, Tensor*& x) {
  sort_items(items);
  gather();
  port_status_ = {};
  TENON_ASSIGN(Tensor * ids, upload(ids_));
  Status status = network_.embed(ids, &x);
  release(ids);
  if (status.ok()) status = walk_layers(x);
  if (status.ok() && samples_ && !sampled_.empty()) status = sample(x);
  return status;
}

Status Executor::walk_layers(Tensor*& x) {
  for (std::int32_t layer = 0; layer < model_->decoder.layers; ++layer) {
    Tensor* y = nullptr;
    TENON_TRY(network_.layer(layer, x, &y));
    release(x);
    x = y;
    if (!port_status_.ok()) return std::move(port_status_);
  }
  return {};
}

Result<Tensor*> Executor::rows_of(Tensor* x, std::span<const std::int32_t> rows) {
  TENON_ASSIGN(Tensor * index, upload(rows));
  const tenon_op_gather op{{sizeof op, TENON_OP_GATHER, nullptr}, -1, 0, 1};
  Tensor* in[] = {index, x};
  Tensor* out[1];
  Status status = ops_->call(&op.hdr, in, out);
  release(index);
  if (!status.ok()) return status.take_error();
  return out[0];
}

Status Executor::sample(Tensor* x) {
  const ProfileSpan span(profile_, Profile::kSample);
  sample_params_.clear();
  results_.clear();
  std::size_t tops = 0;
  for (const SampledRow& row : sampled_) tops += static_cast<std::size_t>(row.request->spec.n_top);
  top_.resize(std::max(top_.size(), tops));
  tops = 0;
  for (const SampledRow& row : sampled_) {
    const Request& request = *row.request;
    const SamplingParams& s = request.spec.sampling;
    const bool adjusts = row.target < 0;
    sample_params_.push_back({s.seed, row.position, row.target, static_cast<float>(s.temperature),
                              s.top_k, static_cast<float>(s.top_p), static_cast<float>(s.min_p),
                              adjusts ? static_cast<std::int32_t>(request.adjust.size()) : 0,
                              request.spec.n_top, request.adjust.data()});
    results_.push_back({-1, 0, top_.data() + tops});
    tops += static_cast<std::size_t>(request.spec.n_top);
  }
  for (std::size_t first = 0; first < sampled_.size(); first += kHeadRows)
    TENON_TRY(sample_block(x, first, std::min<std::size_t>(kHeadRows, sampled_.size() - first)));
  return {};
}

// Logits of a block of rows; they never leave the device. Bits do not depend on the block.
Status Executor::sample_block(Tensor* x, std::size_t first, std::size_t count) {
  const bool all_rows = count == ids_.size();
  Tensor* rows = x;
  if (!all_rows) {
    TENON_ASSIGN(rows, rows_of(x, std::span(sampled_rows_).subspan(first, count)));
    deltas_.open_rows();
    for (const SampledRow& row : std::span(sampled_).subspan(first, count))
      deltas_.add_rows(row.request->adapter.slot(), 1);
  }
  Tensor* logits = nullptr;
  Status status = network_.head(rows, &logits);
  if (!all_rows) release(rows);
  if (!status.ok()) return status;
  if (logits == nullptr || logits->shape[0] != static_cast<std::int64_t>(count)) {
    release(logits);
    return Error{.code = Code::kInternal,
                 .id = "TENON-R025",
                 .message = "the model plugin's head gave no logits for the rows that it was given",
                 .found = logits == nullptr ? "no tensor" : std::to_string(logits->shape[0]),
                 .expected = std::to_string(count) + " rows",
                 .fix = "this is a defect of the model plugin"};
  }
  const tenon_op_sample op{{sizeof op, TENON_OP_SAMPLE, nullptr},
                           sample_params_.data() + first,
                           results_.data() + first};
  status = ops_->call(&op.hdr, std::span(&logits, 1), {});
  release(logits);
  return status;
}

Status Executor::call(const tenon_hdr* op, Tensor* const* in, std::uint32_t n_in, Tensor** out,
                      std::uint32_t n_out) {
  if (op->type != TENON_OP_LINEAR_GROUP || op->size < sizeof(tenon_op_linear_group) || n_in == 0 ||
      in[0] == nullptr)
    return ops_->call(op, std::span(in, n_in), std::span(out, n_out));
  tenon_op_linear_group record = *reinterpret_cast<const tenon_op_linear_group*>(op);
  record.hdr.size = sizeof record;
  if (record.group < called_on_all_.size())
    called_on_all_[record.group] = in[0]->shape[0] == static_cast<std::int64_t>(ids_.size());
  TENON_TRY(deltas_.attach(record, in[0]->shape[0]));
  if (record.group < model_->groups.size() && model_->groups[record.group].partial && n_in == 2 &&
      n_out == 1)
    return reduce_group(record, in, out);
  return ops_->call(&record.hdr, std::span(in, n_in), std::span(out, n_out));
}

// A group whose columns are cut over ranks ends at this rank's part of the products.
Status Executor::reduce_group(const tenon_op_linear_group& op, Tensor* const* in, Tensor** out) {
  const LinearGroupShape& group = model_->groups[op.group];
  Tensor* partial = nullptr;
  TENON_TRY(ops_->call(&op.hdr, std::span(in, 1), std::span(&partial, 1)));
  const tenon_reduce_site site{
      {sizeof site, 0, nullptr}, op.group, group.reduce_norm, group.norm_eps};
  Status status = parallelism_.reduce(&site, partial, in[1], out);
  release(partial);
  return status;
}

Status Executor::attention(std::int32_t layer, Tensor* q, Tensor* k, Tensor* v, Tensor** out) {
  if (layer < 0 || layer >= model_->decoder.layers)
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-R023",
                 .message = "attention: no such layer",
                 .found = std::to_string(layer),
                 .expected = "0 to " + std::to_string(model_->decoder.layers - 1)};
  tenon_read_set& read_set = read_sets_[static_cast<std::size_t>(layer)];
  read_set = {{sizeof read_set, 0, nullptr}, nullptr, 0, 0};
  const tenon_layer_plan& place = layers_[static_cast<std::size_t>(layer)];
  const tenon_attention_batch& batch = batches_[static_cast<std::size_t>(place.spec)].batch;
  TENON_TRY(attention_.select(&batch, layer, &read_set));
  TENON_TRY(check_read_set(batch, read_set, layer, model_->attention.of_layer[layer].window));
  const tenon_op_attend op{
      {sizeof op, TENON_OP_ATTEND, nullptr}, layer, place.spec_layer, &batch, &read_set};
  Tensor* in[] = {q, k, v};
  return ops_->call(&op.hdr, in, std::span(out, 1));
}

void Executor::port(std::uint32_t port, Tensor* t) {
  if (!observer_ || t == nullptr || port >= model_->ports.size()) return;
  const std::size_t bytes = static_cast<std::size_t>(t->shape[0] * t->shape[1]) * t->dtype.bits / 8;
  std::vector<std::byte> host(bytes);
  if (Status status = backend_.read(t->data, host.data(), bytes); !status.ok()) {
    port_status_ = std::move(status);
    return;
  }
  observer_(model_->ports[port], *t, host.data());
}

void Executor::release(Tensor* t) {
  if (t != nullptr) ops_->pool().release(t);
}

}  // namespace tenon
