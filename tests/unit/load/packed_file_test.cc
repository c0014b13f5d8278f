// The file of packed weights by itself: what was written reads back, and nothing else does.
#include "core/load/packed_file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "core/conform/tiny_model.h"
#include "tests/fixtures/file_bytes.h"

namespace fs = std::filesystem;

namespace tenon {
namespace {

class PackedFile : public testing::Test {
 protected:
  void SetUp() override {
    model_path_ = TinyModel().save("packed-file");
    path_ = model_path_ + ".packed";
    rest(model_path_);
    std::mt19937 random(1);
    payload_.resize(3 * 1048576 + 640);
    for (std::byte& byte : payload_) byte = static_cast<std::byte>(random());
    rows_ = {{0, 100, 0, 0}, {128, 1048576, 1, 0}, {1048704, payload_.size() - 1048704, 7, 0}};
  }
  void TearDown() override { fs::remove(path_); }

  // The times of a file that has been quiet for an hour.
  static void rest(const std::string& path) {
    fs::last_write_time(path, fs::last_write_time(path) - std::chrono::hours(1));
  }
  Result<GgufFile> model() const { return GgufFile::open(model_path_); }
  Status write(const GgufFile& model, const std::string& key = "a key\nof lines\n") {
    return write_packed_file(path_, {key, rows_.size(), &model}, rows_, payload_, pool_);
  }
  Result<PackedPayload> read(const std::string& key = "a key\nof lines\n") {
    Result<GgufFile> opened = model();
    if (!opened.ok()) return opened.take_error();
    return read_packed_file(path_, {key, rows_.size(), &*opened}, pool_);
  }
  std::string id_of(const std::string& key = "a key\nof lines\n") {
    const auto got = read(key);
    return got.ok() ? "read" : got.error().id;
  }
  void write_good() {
    const auto opened = model();
    ASSERT_TRUE(opened.ok());
    const Status written = write(*opened);
    ASSERT_TRUE(written.ok()) << written.error().to_string();
  }

  StripePool pool_{2};
  std::string model_path_, path_;
  std::vector<std::byte> payload_;
  std::vector<PackedRow> rows_;
};

TEST_F(PackedFile, ReadsBackWhatWasWritten) {
  EXPECT_EQ(id_of(), "TENON-W002");
  write_good();
  EXPECT_FALSE(fs::exists(path_ + ".part"));
  const auto got = read();
  ASSERT_TRUE(got.ok()) << got.error().to_string();
  EXPECT_EQ(std::memcmp(got->memory.data(), payload_.data(), payload_.size()), 0);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(got->memory.data()) % (1 << 21), 0u);
  ASSERT_EQ(got->rows.size(), rows_.size());
  EXPECT_EQ(std::memcmp(got->rows.data(), rows_.data(), rows_.size() * sizeof(PackedRow)), 0);
}

TEST_F(PackedFile, ATruncatedFileIsNotRead) {
  write_good();
  const std::string whole = bytes_of(path_);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{111}, std::size_t{112}, std::size_t{4095},
        std::size_t{4096}, whole.size() / 2, whole.size() - 1}) {
    write_bytes(path_, whole.substr(0, size));
    EXPECT_EQ(id_of(), "TENON-W005") << size;
  }
  write_bytes(path_, whole + "x");
  EXPECT_EQ(id_of(), "TENON-W005");
}

TEST_F(PackedFile, AFlippedByteIsFound) {
  write_good();
  const std::string whole = bytes_of(path_);
  const std::size_t front = whole.size() - payload_.size();
  // Every byte of the head and the start of what follows, then some of each part.
  std::vector<std::size_t> places = {front - 1, front, front + 1048576, whole.size() - 1};
  for (std::size_t at = 0; at < 240; ++at) places.push_back(at);
  std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
  const auto put = [&](std::size_t at, int byte) {
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte)).flush();
  };
  for (const std::size_t at : places) {
    put(at, whole[at] ^ 4);
    const std::string id = id_of();
    EXPECT_TRUE(id == "TENON-W005" || (id == "TENON-W003" && at < 12)) << at << " " << id;
    put(at, whole[at]);
  }
  EXPECT_EQ(id_of(), "read");
}

TEST_F(PackedFile, AnotherKeyIsAnotherFile) {
  write_good();
  const auto got = read("a key\nof other lines\n");
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().id, "TENON-W003");
  EXPECT_EQ(got.error().found, "of lines");
  EXPECT_EQ(got.error().expected, "of other lines");
  EXPECT_EQ(id_of("a key\n"), "TENON-W003");
  EXPECT_EQ(id_of(""), "TENON-W003");
  EXPECT_EQ(id_of(), "read");
}

// The same bytes under other times are the same model; other bytes under the same size are not.
TEST_F(PackedFile, TheModelsBytesDecide) {
  write_good();
  const std::string model = bytes_of(model_path_);
  write_bytes(model_path_, model);
  EXPECT_EQ(id_of(), "read");
  rest(model_path_);
  EXPECT_EQ(id_of(), "read");
  std::string other = model;
  other.back() = static_cast<char>(other.back() ^ 1);
  write_bytes(model_path_, other);
  EXPECT_EQ(id_of(), "TENON-W003");
  // Its time set back: the time of change tells.
  rest(model_path_);
  EXPECT_EQ(id_of(), "TENON-W003");
  write_bytes(model_path_, model);
  EXPECT_EQ(id_of(), "read");
}

// A model that was written a moment ago may be written again without a trace in its times.
TEST_F(PackedFile, ATimeThatIsTooNewIsNotReliedOn) {
  write_bytes(model_path_, bytes_of(model_path_));
  write_good();
  const std::string bytes = bytes_of(path_);
  EXPECT_EQ(bytes.substr(40, 48), std::string(48, '\0'));  // where the head has the model's stamp
  EXPECT_EQ(id_of(), "read");
}

TEST_F(PackedFile, AModelThatChangedWhileItWasPackedIsNotKept) {
  const auto opened = model();
  ASSERT_TRUE(opened.ok());
  write_bytes(model_path_, bytes_of(model_path_));
  const Status written = write(*opened);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().id, "TENON-W008");
  EXPECT_FALSE(fs::exists(path_) || fs::exists(path_ + ".part"));
}

TEST_F(PackedFile, AFolderThatCannotBeWrittenIsAnError) {
  fs::create_directory(path_ + ".part");
  const auto opened = model();
  ASSERT_TRUE(opened.ok());
  const Status written = write(*opened);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().id, "TENON-W006");
  fs::remove(path_ + ".part");
}

// What a process that died has left under the name of work in progress is overwritten.
TEST_F(PackedFile, ProcessesMayWriteAtOnce) {
  write_bytes(path_ + ".part", std::string(5000000, 'x'));
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      // The parent's threads are not in a child.
      StripePool pool(1);
      bool good = true;
      for (int round = 0; good && round < 5; ++round) {
        const auto opened = GgufFile::open(model_path_);
        const PackedKey key{"a key\nof lines\n", rows_.size(), &*opened};
        const Status written = write_packed_file(path_, key, rows_, payload_, pool);
        good = written.ok() || written.error().id == "TENON-W007";
        const auto got = read_packed_file(path_, key, pool);
        good = good && (got.ok() || got.error().id == "TENON-W002");
      }
      ::_exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(id_of(), "read");
  EXPECT_FALSE(fs::exists(path_ + ".part"));
}

}  // namespace
}  // namespace tenon
