// Two results that were measured at different times: which rates differ by more than the machine
// does.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/trace/comparison.h"

namespace tenon::app {

// A result as `tenon bench --json` and `bench_kernels --history` write it.
struct BenchRecord {
  std::string source;         // the file and line
  std::string machine;        // processor, instruction set, threads
  std::string revision;       // may be empty
  double read = 0, int8 = 0;  // limits that were measured beside it; 0: they were not
  std::vector<std::pair<std::string, std::vector<double>>> samples;  // rates
};

// The last line of a file, or with FILE:N the N-th, counted from the end where N is negative.
// TENON-A094: it cannot be read, or is no result.
Result<BenchRecord> read_record(const std::string& name);

struct RecordComparison {
  struct Row {
    std::string name;
    double a = 0, b = 0;  // medians
    SampleComparison result;
  };
  double noise = 0;       // what a rate may differ by and still say nothing
  std::vector<Row> rows;  // what both have, in A's order
  std::size_t only_a = 0, only_b = 0;
  std::vector<std::string> warnings;
};

// The noise is not known from one run of each: it is taken to be 3 %, or what the machine's limits
// differ by between the two where that is more. TENON-A095: they have no name in common.
Result<RecordComparison> compare_records(const BenchRecord& a, const BenchRecord& b);

std::string comparison_table(const RecordComparison& comparison);
std::string comparison_json(const RecordComparison& comparison);  // one line

}  // namespace tenon::app
