// write_tiny_model FOLDER: the random models tiny.gguf and gemma.gguf, and an adapter for the
// first.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/conform/tiny_adapter.h"
#include "core/conform/tiny_model.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: write_tiny_model FOLDER\n", stderr);
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder / "adapter");
  const auto write = [&](const std::string& name, const std::string& bytes) {
    std::ofstream out(folder / name, std::ios::binary);
    out << bytes;
    return out.good();
  };
  const tenon::TinyAdapter adapter(7, tenon::TinyAdapter::llama_modules());
  const bool written =
      write("tiny.gguf", tenon::TinyModel().gguf()) &&
      write("gemma.gguf", tenon::TinyModel::gemma().gguf()) &&
      write("adapter/adapter_config.json", adapter.config()) &&
      write("adapter/adapter_model.safetensors", tenon::write_safetensors(adapter.tensors));
  if (!written) std::fprintf(stderr, "cannot write into %s\n", argv[1]);
  return written ? 0 : 1;
}
