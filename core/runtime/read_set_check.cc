#include "core/runtime/read_set_check.h"

#include <string>

#include "core/memory/page_pool.h"

namespace tenon {
namespace {

Error illegal(std::int32_t layer, std::int32_t sequence, std::string message, std::string found,
              std::string expected) {
  return {.code = Code::kInternal,
          .id = "TENON-R027",
          .message = "illegal read set: " + std::move(message),
          .where = "layer " + std::to_string(layer) + ", sequence " + std::to_string(sequence),
          .found = std::move(found),
          .expected = std::move(expected),
          .fix = "this is a defect of the attention plugin"};
}

Status check_sequence(const tenon_sequence_rows& rows, const tenon_read_pages& read,
                      std::int32_t layer, std::int32_t sequence, std::int32_t window) {
  if (read.pages == nullptr || read.n_pages < 1 || read.n_pages > rows.n_pages)
    return illegal(layer, sequence, "a count that the sequence does not have",
                   read.pages == nullptr ? "null" : std::to_string(read.n_pages) + " pages",
                   "1 to " + std::to_string(rows.n_pages));
  std::int32_t before = rows.first_page - 1;
  for (std::int32_t i = 0; i < read.n_pages; ++i) {
    const std::int32_t at = read.page_index != nullptr ? read.page_index[i] : read.first_index + i;
    if (at <= before || at >= rows.n_pages)
      return illegal(layer, sequence, "page indices ascend below the sequence's pages",
                     std::to_string(at),
                     std::to_string(before + 1) + " to " + std::to_string(rows.n_pages - 1));
    if (read.pages[i] != rows.pages[at])
      return illegal(layer, sequence, "a page that is not the sequence's",
                     "page " + std::to_string(read.pages[i]) + " at " + std::to_string(at),
                     "page " + std::to_string(rows.pages[at]));
    before = at;
  }
  const std::int32_t first = read.page_index != nullptr ? read.page_index[0] : read.first_index;
  if (first > rows.position / kPageTokens)
    return illegal(layer, sequence, "the first row has nothing to read",
                   "pages from " + std::to_string(first),
                   "from at most " + std::to_string(rows.position / kPageTokens));
  // Indices ascend, so the last ones are the rows' own pages exactly when this one is the first of
  // them.
  const std::int32_t own = rows.n_pages - rows.position / kPageTokens, at = read.n_pages - own;
  if (window > 0 &&
      (at < 0 || (read.page_index != nullptr ? read.page_index[at] : read.first_index + at) !=
                     rows.position / kPageTokens))
    return illegal(layer, sequence, "on a layer with a window rows read their own pages",
                   std::to_string(read.n_pages) + " pages",
                   "all from " + std::to_string(rows.position / kPageTokens) + " on");
  return {};
}

}  // namespace

Status check_read_set(const tenon_attention_batch& batch, const tenon_read_set& read_set,
                      std::int32_t layer, std::int32_t window) {
  if (read_set.sequences == nullptr || read_set.n_sequences != batch.n_sequences)
    return illegal(layer, 0, "it does not cover the batch's sequences",
                   std::to_string(read_set.n_sequences), std::to_string(batch.n_sequences));
  for (std::int32_t i = 0; i < batch.n_sequences; ++i)
    TENON_TRY(check_sequence(batch.sequences[i], read_set.sequences[i], layer, i, window));
  return {};
}

}  // namespace tenon
