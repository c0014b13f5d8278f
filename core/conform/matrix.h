// The compatibility matrix: every plugin of a catalog beside the tree's defaults, and every two of
// them, on the tiny models: what their contracts say, what happens when they run, and whether the
// one agrees with the other.
//
// Each of two plugins is replaced by its oracle in turn, the other one stays: that must change no
// more than the numerics class of the replaced one says (core/conform/tiny_oracle.h). The oracle of
// a backend is the exact reference, of an engine with several ranks one with one, of a comm the one
// of the tree; a cache and an adapter are left out, and in other roles stands the default.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/conform/tiny_engine.h"
#include "core/plugin/catalog.h"

namespace tenon::conform {

inline constexpr std::array kMatrixModels = {TinyModel::Family::kLlama, TinyModel::Family::kGemma};
const char* model_name(TinyModel::Family family);  // "llama", "gemma"

using MatrixParts = std::vector<const PluginFile*>;  // none: the defaults; at most two

enum class RunState {
  kNotRun,
  kRan,
  kRefused,  // by an error before the first step
  kFailed,   // by an error later
  kCrashed,  // or was not done in time
};

// One engine and what came of it. Different cells often mean the same one, which is run once.
struct MatrixRun {
  MatrixParts parts;
  TinyModel::Family family = TinyModel::Family::kLlama;
  RunState state = RunState::kNotRun;
  std::string text;  // of an error
  std::vector<TinyAnswer> answers;

  std::string name() const;  // ids, joined by ","; "-" for the defaults
};

enum class Mark { kWorks, kDegraded, kConflict, kUntested, kDisagrees };
const char* mark_name(Mark mark);  // "works", "degraded", ...

struct MatrixCell {
  MatrixParts parts;   // one: beside the defaults; the same one twice: a chain of two caches
  bool wanted = true;  // or only looked at for the sake of others

  // By contract, in sentences.
  std::vector<std::string> conflicts;  // of these plugins, whatever else is chosen
  std::vector<std::string> degraded;   // what a part prefers and does not get
  std::string obstacle;                // why it cannot be run beside the defaults

  // By model: the index of the run; kNone: not run.
  static constexpr std::size_t kNone = ~std::size_t{0};
  std::array<std::size_t, 2> runs = {kNone, kNone};

  // What came of both.
  Mark mark = Mark::kUntested;
  std::string reason;                   // of every mark but kWorks
  std::array<std::string, 2> measured;  // by model; empty: not run

  std::string name() const;  // "tenon.cache.prefix with tenon.scheduler.fcfs"
  bool may_run() const { return conflicts.empty() && obstacle.empty(); }
};

class Matrix {
 public:
  // `wanted` chooses cells by name. `catalog` outlives the matrix; of several versions the newest
  // counts. Contracts are compared here; nothing is opened.
  static Result<Matrix> plan(PluginCatalog& catalog,
                             const std::function<bool(const std::string&)>& wanted);

  const MatrixParts& plugins() const { return plugins_; }          // by kind and id
  const std::vector<MatrixCell>& cells() const { return cells_; }  // by the order of plugins()
  std::vector<MatrixRun>& runs() { return runs_; }
  std::size_t runs_done() const { return runs_.size(); }

  // Adds runs: first of each plugin by itself; then, when these are done, of pairs. A pair is not
  // run on a model on which a part of it does not run by itself.
  Status add_single_runs();
  Status add_pair_runs();
  // When all is run: marks and reasons.
  void judge();

  // The engine of some parts; what `tenon plugin matrix` runs in a process of its own.
  Result<TinyEngine> engine(const MatrixParts& parts, TinyModel::Family family) const;
  // Null when no plugin has the id.
  const PluginFile* find(const std::string& id) const;

 private:
  explicit Matrix(PluginCatalog& catalog) : catalog_(&catalog) {}
  void add_cells(const std::function<bool(const std::string&)>& wanted);
  // Of one plugin, and looked at by itself or for the sake of a pair.
  bool is_needed(const MatrixCell& single) const;
  void judge_contracts(MatrixCell& cell);
  MatrixCell* single(const PluginFile* plugin);
  Result<std::size_t> run_of(const MatrixParts& parts, TinyModel::Family family);
  Status add_runs(MatrixCell& cell);
  MatrixParts without(const MatrixParts& parts, const PluginFile* part) const;

  void judge_cell(MatrixCell& cell);
  std::string judge_run(MatrixCell& cell, std::size_t model);
  std::string compare(const MatrixCell& cell, std::size_t model, std::string& measured);
  const PluginDescriptor& rule_of(const MatrixParts& parts, const PluginFile* part) const;

  PluginCatalog* catalog_;
  MatrixParts plugins_;
  std::vector<MatrixCell> cells_;
  std::vector<MatrixRun> runs_;
  std::map<std::string, std::size_t> run_by_manifest_;
};

// Runs it in this process: the state, the text and the answers.
void run_engine(const Matrix& matrix, PluginCatalog& catalog, MatrixRun& run);
// The same, to go from one process to another. A text that is none of a run leaves kCrashed.
std::string run_text(const MatrixRun& run);
void read_run(const std::string& text, MatrixRun& run);

// The record as core/plugin/compatibility.h reads it, a page, and a picture; of wanted cells alone.
std::string matrix_record(const Matrix& matrix);
std::string matrix_page(const Matrix& matrix);
std::string matrix_picture(const Matrix& matrix);

// What a record says otherwise than this matrix: a contract that lies is an error whatever the
// record says. TENON-A082: contract and run disagree; A083: the record has not this pair or
// plugin; A084: it says something else; A085: it has one that is not here (unless `partial`).
std::vector<Error> check_matrix(const Matrix& matrix, std::string_view record, bool partial);

}  // namespace tenon::conform
