/* clang-format off */
/* The numbers contract "contract/1": the scalar definitions that fix the bits of a row, whatever
 * the batch, the chunking, the threads or the instruction set. A backend that calls its numerics
 * "contract/1" computes exactly these roundings. Compile with -ffp-contract=off; fma only where it
 * is written.
 *
 *  1  quantised products: exact int32 inside a group of the weight's layout (32; q8n16: 16), then one
 *     chain per output in ascending K: acc = fma((float)i, d_w * d_x, acc), d_x that of the 32
 *     activations around; mins in a chain of their own: acc_m = fma(m_w, d_x * (float)s_x, acc_m);
 *     y = acc + acc_m
 *     f32 products: one chain per output in ascending K: acc = fma(w, x, acc)
 *  2  activations per row and group of 32: tenon_quantise32; the sum s_x is taken after rounding
 *  3  other sums: 16 lanes, lane = index mod 16, then halving 8, 4, 2, 1: tenon_sum16
 *  4  RMS norm: r = 1 / sqrt(sum16(fma x*x) / n + eps);  y = (x * r) * w; of a query or key head
 *     before rope
 *  5  rope: (a, b) -> (fma(a, c, -(b * s)), fma(a, s, b * c)), c and s rounded once from double
 *  6  K (after rope) and V are kept as f16 (round to nearest even) and read back from there, also
 *     those of this step
 *  7  scores: one chain over the head's values, acc = fma(q, k, acc), then * scale
 *  8  keys are cut at absolute multiples of 64; in a chunk: m = max, p = tenon_exp(s - m), l =
 *     sum16(p) over the 64 places (masked: 0), o_d = one chain over keys, fma(p, v, o_d);
 *     chunks fold left: M' = max(M, m), a = tenon_exp(M - M'), b = tenon_exp(m - M');
 *     L = fma(l, b, L * a);  O_d = fma(o_d, b, O_d * a);  at the end O_d / L
 *     a masked key takes part in nothing
 *  9  residual: r + y, y normed first where a group says so;  gate: tenon_silu(g) * u or
 *     tenon_gelu(g) * u;  embeddings: w * (float)scale;  low rank: A and B kept as f16, t_i and d_n
 *     one f32 chain each as in 1, y + (float)scale * d_n
 * 10  random numbers: tenon_random(seed, position, site) */
/* clang-format on */
#ifndef TENON_ABI_CONTRACT_H_
#define TENON_ABI_CONTRACT_H_

#include <math.h>
#include <stdint.h>
#include <string.h>

#define TENON_GROUP 32      /* values that share a scale, in activations and most weights */
#define TENON_GROUP_FINE 16 /* in weights of layout q8n16 */
#define TENON_PAGE_TOKENS 64

#define TENON_EXP_LOW (-87.0f) /* below: 0 */
#define TENON_EXP_HIGH 88.0f   /* above: as at 88 */
#define TENON_EXP_LOG2E 1.44269504f
#define TENON_EXP_MAGIC 12582912.0f /* 1.5 * 2^23: adding it rounds to an integer, ties to even */
#define TENON_EXP_LN2_HIGH 0.693359375f
#define TENON_EXP_LN2_LOW (-2.12194440e-4f)

/* e^x to about one unit in the last place, by ln2 reduction and a degree-7 polynomial. */
static inline float tenon_exp(float x) {
  const float clamped =
      x > TENON_EXP_HIGH ? TENON_EXP_HIGH : (x < TENON_EXP_LOW ? TENON_EXP_LOW : x);
  const float t = __builtin_fmaf(clamped, TENON_EXP_LOG2E, TENON_EXP_MAGIC);
  const float n = t - TENON_EXP_MAGIC;
  float r = __builtin_fmaf(n, -TENON_EXP_LN2_HIGH, clamped);
  r = __builtin_fmaf(n, -TENON_EXP_LN2_LOW, r);
  float p = 1.0f / 5040;
  p = __builtin_fmaf(p, r, 1.0f / 720);
  p = __builtin_fmaf(p, r, 1.0f / 120);
  p = __builtin_fmaf(p, r, 1.0f / 24);
  p = __builtin_fmaf(p, r, 1.0f / 6);
  p = __builtin_fmaf(p, r, 0.5f);
  p = __builtin_fmaf(p, r, 1.0f);
  p = __builtin_fmaf(p, r, 1.0f);
  int32_t bits;
  memcpy(&bits, &t, sizeof bits);
  bits = (int32_t)((uint32_t)(bits - 0x4B400000 + 127) << 23); /* 2^n */
  float scale;
  memcpy(&scale, &bits, sizeof scale);
  return x < TENON_EXP_LOW ? 0.0f : p * scale;
}

static inline float tenon_silu(float x) { return x / (1.0f + tenon_exp(-x)); }

/* The tanh form of GELU: 0.5 x (1 + tanh(u)) = x / (1 + e^(-2u)), u = sqrt(2 / pi) (x + 0.044715
 * x^3). */
#define TENON_GELU_CUBIC 0.044715f
#define TENON_GELU_SCALE (-1.5957691216f) /* -2 sqrt(2 / pi) */
static inline float tenon_gelu(float x) {
  const float inner = x * __builtin_fmaf(TENON_GELU_CUBIC, x * x, 1.0f);
  return x / (1.0f + tenon_exp(TENON_GELU_SCALE * inner));
}

/* ln x for finite x > 0, from IEEE operations alone: x = 2^e * m, ln m = 2 atanh((m - 1) / (m +
 * 1)). */
static inline double tenon_log(double x) {
  int64_t bits;
  memcpy(&bits, &x, sizeof bits);
  int64_t e = ((bits >> 52) & 0x7ff) - 1023;
  bits = (bits & 0xfffffffffffff) | 0x3ff0000000000000;
  double m;
  memcpy(&m, &bits, sizeof m);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    e += 1;
  }
  const double t = (m - 1) / (m + 1), t2 = t * t;
  double s = 1.0 / 19;
  for (int k = 17; k >= 1; k -= 2) s = s * t2 + 1.0 / k;
  return 2 * t * s + (double)e * 0.6931471805599453;
}

/* The halving of 16 lanes. */
static inline float tenon_fold16(float* lanes) {
  for (int half = 8; half >= 1; half /= 2)
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

static inline float tenon_sum16(const float* x, int64_t n) {
  float lanes[16] = {0};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int lane = 0; lane < 16; ++lane) lanes[lane] += x[i + lane];
  for (int lane = 0; i + lane < n; ++lane) lanes[lane] += x[i + lane];
  return tenon_fold16(lanes);
}

/* Sum of squares in the same order, one fma a term. */
static inline float tenon_sum_squares16(const float* x, int64_t n) {
  float lanes[16] = {0};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int lane = 0; lane < 16; ++lane)
      lanes[lane] = __builtin_fmaf(x[i + lane], x[i + lane], lanes[lane]);
  for (int lane = 0; i + lane < n; ++lane)
    lanes[lane] = __builtin_fmaf(x[i + lane], x[i + lane], lanes[lane]);
  return tenon_fold16(lanes);
}

/* 32 values to int8: d = amax / 127, q = round(x * (127 / amax)), ties to even. Returns d (0 for a
 * group of zeros); *sum = sum of q. */
static inline float tenon_quantise32(const float* x, int8_t* q, int32_t* sum) {
  float amax = 0;
  for (int i = 0; i < TENON_GROUP; ++i)
    amax = __builtin_fabsf(x[i]) > amax ? __builtin_fabsf(x[i]) : amax;
  const float inverse = amax > 0 ? 127.0f / amax : 0.0f;
  int32_t total = 0;
  for (int i = 0; i < TENON_GROUP; ++i) {
    const float t =
        x[i] * inverse + TENON_EXP_MAGIC; /* two roundings: product, then ties to even */
    int32_t bits;
    memcpy(&bits, &t, sizeof bits);
    q[i] = (int8_t)(bits - 0x4B400000);
    total += q[i];
  }
  *sum = total;
  return amax / 127.0f;
}

/* 24 random bits as a float in [0, 1), a pure function of its arguments (splitmix64 finaliser over
 * a mixed counter). */
static inline float tenon_random(uint64_t seed, uint64_t position, uint64_t site) {
  uint64_t z = seed + 0x9E3779B97F4A7C15ull * (position + 1) + 0xD1B54A32D192ED03ull * site;
  for (int round = 0; round < 2; ++round) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    z ^= z >> 31;
  }
  return (float)(z >> 40) * (1.0f / 16777216);
}

#endif /* TENON_ABI_CONTRACT_H_ */
