#include "core/ops/op_table.h"

#include <gtest/gtest.h>

namespace tenon {
namespace {

ModelShape model() {
  ModelShape out;
  out.activation = {2, 32, 1};
  out.decoder.vocabulary = 100;
  out.attention.layers = 2;
  out.attention.q_heads = 3;
  out.attention.kv_heads = 1;
  out.attention.head_dim = 32;
  out.weights = {{"a", 64, 96, TENON_LAYOUT_Q4M32, 3840},
                 {"b", 64, 96, TENON_LAYOUT_Q4M32, 3840},
                 {"norm", 1, 96, TENON_LAYOUT_F32, 384}};
  out.groups = {{{0, 1}, TENON_EPILOGUE_NONE, 2, -1, 1e-5},
                {{0}, TENON_EPILOGUE_RESIDUAL, -1, -1, 0},
                {{0, 1}, TENON_EPILOGUE_SILU_MUL, -1, -1, 0},
                {{0, 1}, TENON_EPILOGUE_GELU_MUL, -1, -1, 0}};
  return out;
}

Tensor matrix(std::int64_t rows, std::int64_t values, tenon_dl_type type = {2, 32, 1}) {
  Tensor out;
  out.dtype = type;
  out.rank = 2;
  out.shape = {rows, values};
  return out;
}

struct Shaped {
  std::string error;
  std::vector<TensorShape> out;
};

Shaped shape_of(const tenon_hdr* op, std::vector<Tensor*> in, std::size_t outs) {
  Shaped result{{}, std::vector<TensorShape>(outs)};
  const Status status = find_op(op->type)->shape(model(), op, in, result.out);
  if (!status.ok()) result.error = status.error().to_string();
  return result;
}

tenon_op_linear_group linear(std::uint32_t group) {
  return {{sizeof(tenon_op_linear_group), TENON_OP_LINEAR_GROUP, nullptr}, group, 0, nullptr};
}

TEST(OpTable, LinearGroupGivesOneOutputPerWeight) {
  Tensor x = matrix(5, 96);
  const auto op = linear(0);
  const Shaped shaped = shape_of(&op.hdr, {&x}, 2);
  EXPECT_EQ(shaped.error, "");
  EXPECT_EQ(shaped.out[1].shape[0], 5);
  EXPECT_EQ(shaped.out[1].shape[1], 64);
}

TEST(OpTable, LinearGroupRefusesWhatDoesNotFit) {
  Tensor x = matrix(5, 95), good = matrix(5, 96), residual = matrix(5, 63);
  const auto first = linear(0), second = linear(1), gated = linear(2), gelu = linear(3),
             none = linear(9);
  EXPECT_EQ(shape_of(&first.hdr, {&x}, 2).error,
            "TENON-R020 op linear_group: wrong shape of x; found f32[5, 95]; expected f32[5, 96]");
  EXPECT_NE(shape_of(&first.hdr, {&good}, 1).error, "");
  EXPECT_NE(shape_of(&second.hdr, {&good}, 1).error, "");
  EXPECT_NE(shape_of(&second.hdr, {&good, &residual}, 1).error, "");
  EXPECT_EQ(shape_of(&gated.hdr, {&good}, 1).error, "");
  EXPECT_EQ(shape_of(&gelu.hdr, {&good}, 1).error, "");
  EXPECT_NE(shape_of(&none.hdr, {&good}, 1).error, "");
}

TEST(OpTable, AddTakesTwoOfOneShapeAndANormOfTheirWidth) {
  Tensor x = matrix(5, 96), r = matrix(5, 96), other = matrix(4, 96), narrow = matrix(5, 64);
  tenon_op_add op{{sizeof op, TENON_OP_ADD, nullptr}, 2, 0, 1e-5};
  EXPECT_EQ(shape_of(&op.hdr, {&x, &r}, 1).error, "");
  EXPECT_NE(shape_of(&op.hdr, {&x, &other}, 1).error, "");
  EXPECT_NE(shape_of(&op.hdr, {&x}, 1).error, "");
  EXPECT_NE(shape_of(&op.hdr, {&narrow, &narrow}, 1).error, "");
  op.norm = 0;
  EXPECT_NE(shape_of(&op.hdr, {&x, &r}, 1).error, "");
  op.norm = -1;
  EXPECT_EQ(shape_of(&op.hdr, {&narrow, &narrow}, 1).error, "");
}

TEST(OpTable, GatherTakesIdsAndAWeightOrABase) {
  Tensor ids, base = matrix(7, 40);
  ids.dtype = kInt32;
  ids.rank = 1;
  ids.shape = {4, 1};
  tenon_op_gather op{{sizeof op, TENON_OP_GATHER, nullptr}, 0, 0, 1};
  EXPECT_EQ(shape_of(&op.hdr, {&ids}, 1).out[0].shape[1], 96);
  op.weight = -1;
  EXPECT_EQ(shape_of(&op.hdr, {&ids, &base}, 1).out[0].shape, (std::array<std::int64_t, 2>{4, 40}));
  EXPECT_NE(shape_of(&op.hdr, {&base, &base}, 1).error, "");
  op.weight = 3;
  EXPECT_NE(shape_of(&op.hdr, {&ids}, 1).error, "");
}

TEST(OpTable, AttendNeedsAReadSetForEverySequence) {
  Tensor q = matrix(2, 96), k = matrix(2, 32), v = matrix(2, 32);
  tenon_sequence_rows sequence{0, 2, 0, 1, nullptr};
  const tenon_attention_batch batch{{sizeof batch, 0, nullptr}, &sequence, 1, 2};
  tenon_read_set read{{sizeof read, 0, nullptr}, nullptr, 0, 0};
  tenon_op_attend op{{sizeof op, TENON_OP_ATTEND, nullptr}, 0, 0, &batch, &read};
  EXPECT_NE(shape_of(&op.hdr, {&q, &k, &v}, 1).error, "");
  read.n_sequences = 1;
  EXPECT_EQ(shape_of(&op.hdr, {&q, &k, &v}, 1).error, "");
  op.layer = 2;
  EXPECT_NE(shape_of(&op.hdr, {&q, &k, &v}, 1).error, "");
  EXPECT_NE(shape_of(&op.hdr, {&q, &k}, 1).error, "");
}

TEST(OpTable, CostCountsMultiplyAddsAndWeightBytes) {
  Tensor x = matrix(5, 96);
  const auto op = linear(0);
  Tensor* in[] = {&x};
  const OpCost cost =
      find_op(TENON_OP_LINEAR_GROUP)->cost(model(), &op.hdr, std::span<Tensor* const>(in));
  EXPECT_EQ(cost.multiply_adds, 5.0 * 2 * 64 * 96);
  EXPECT_EQ(cost.weight_bytes, 2.0 * 3840);
}

TEST(OpTable, AnUnknownOpIsNotFound) {
  EXPECT_EQ(find_op(0), nullptr);
  EXPECT_EQ(find_op(99), nullptr);
}

}  // namespace
}  // namespace tenon
