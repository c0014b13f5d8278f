// Adapters: what is lowered is a function of the files and the slot, and bad files are refused in
// words. The folder that the kit offers is a plain low-rank one as PEFT writes it; a method with
// files of its own refuses it, and what follows is skipped.
#include <algorithm>
#include <cstring>
#include <random>

#include "core/conform/rig.h"
#include "core/conform/tiny_adapter.h"

namespace tenon::conform {
namespace {

const std::vector<std::string>& modules() {
  static const std::vector<std::string> all = {
      "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj",
      "model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj",
      "model.layers.1.self_attn.v_proj"};
  return all;
}
constexpr std::int64_t kN = 8, kK = 12;

// Files in memory, and the record of them.
struct Files {
  std::string name = "kit", config;
  std::vector<std::string> names;
  std::vector<tenon_adapter_tensor> tensors;
  float scale = 1;
  bool readable = true;
  tenon_adapter_source record{};

  static Files low_rank(std::int32_t rank, const std::string& more = "") {
    Files out;
    out.config = R"({"peft_type": "LORA", "r": )" + std::to_string(rank) +
                 R"(, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"])" + more + "}";
    for (const std::string& module : modules())
      if (module.ends_with("q_proj") || module.ends_with("v_proj"))
        for (const char* factor : {"A", "B"}) out.names.push_back(TinyAdapter::key(module, factor));
    std::sort(out.names.begin(), out.names.end());
    for (const std::string& tensor : out.names) {
      const bool a = tensor.find("lora_A") != std::string::npos;
      out.tensors.push_back({{tensor.data(), tensor.size()}, a ? rank : kN, a ? kK : rank, 2, 0});
    }
    return out;
  }
  // The record of them; both stay where they are until the files go.
  const tenon_adapter_source* source() {
    record = {{sizeof(tenon_adapter_source), 0, nullptr},
              {name.data(), name.size()},
              {config.data(), config.size()},
              tensors.data(),
              tensors.size(),
              [](void* ctx, std::uint64_t index, float* out) -> std::int32_t {
                const Files& files = *static_cast<Files*>(ctx);
                if (!files.readable || index >= files.tensors.size()) return 0;
                const tenon_adapter_tensor& tensor = files.tensors[index];
                for (std::int64_t i = 0; i < tensor.n * tensor.k; ++i)
                  out[i] =
                      files.scale * static_cast<float>(static_cast<std::int64_t>(index) + i + 1);
                return 1;
              },
              this};
    return &record;
  }
};

struct Opened {
  // Lent to the instance: the sites until it goes, files until every site has been lowered.
  std::vector<tenon_adapter_site> sites;
  std::vector<std::unique_ptr<Files>> files;
  std::unique_ptr<Rig> rig;
  iface::Adapter table;

  static Result<Opened> open(const Subject& s) {
    Opened out;
    TENON_ASSIGN(out.rig, Rig::open(s));
    TENON_ASSIGN(out.table, (out.rig->as<iface::Adapter, tenon_adapter_v1>(TENON_ADAPTER_ID)));
    for (std::uint32_t i = 0; i < modules().size(); ++i)
      out.sites.push_back({i, 0, {modules()[i].data(), modules()[i].size()}, kN, kK});
    TENON_TRY(out.table.bind(out.sites.data(), out.sites.size()));
    return out;
  }
  Status load(std::uint32_t slot, Files more) {
    files.push_back(std::make_unique<Files>(std::move(more)));
    return table.load_slot(slot, files.back()->source());
  }
  // What a slot does at a site, as text with all its numbers.
  Result<std::string> lowered(std::uint32_t slot, std::uint32_t site) const {
    tenon_lowered out{};
    TENON_TRY(table.lower(slot, site, &out));
    std::string text = std::to_string(out.rank) + " " + std::to_string(out.scale);
    const auto append = [&](const float* values, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) text += " " + std::to_string(values[i]);
    };
    if (out.rank < 0) return text;
    if (out.rank > 0) {
      if (out.a == nullptr || out.b == nullptr)
        return Error{.code = Code::kInternal,
                     .id = "TENON-K040",
                     .message = "lower() gives a rank and no factors"};
      append(out.a, out.rank * kK);
      append(out.b, kN * out.rank);
    }
    return text;
  }
  Result<std::string> lowered_all(std::uint32_t slot) const {
    std::string text;
    for (std::uint32_t site = 0; site < modules().size(); ++site) {
      TENON_ASSIGN(const std::string one, lowered(slot, site));
      text += one + "\n";
    }
    return text;
  }
};

// The plugin with the kit's files in slot 0, or why not.
Result<Opened> loaded(const Subject& s) {
  TENON_ASSIGN(Opened out, Opened::open(s));
  Files files = Files::low_rank(2);
  if (Status status = out.load(0, std::move(files)); !status.ok()) {
    Error error = status.take_error();
    error.id = "TENON-K041";
    return error;
  }
  return out;
}
Finding unfit(const Error& error) {
  return error.id == "TENON-K041" ? skipped("has files of its own kind: " + error.message)
                                  : Finding(error);
}

Finding loads(const Subject& s) {
  auto p = loaded(s);
  if (!p.ok()) return unfit(p.error());
  int changed = 0;
  for (std::uint32_t site = 0; site < modules().size(); ++site) {
    tenon_lowered out{};
    TENON_TRY(p->table.lower(0, site, &out));
    if (out.rank < 0 || out.rank > 4096) return failed("a rank of " + std::to_string(out.rank));
    changed += out.rank > 0;
  }
  return changed > 0 ? passed() : failed("it changes no site of the model");
}

Finding again(const Subject& s) {
  std::string first;
  for (int run = 0; run < 2; ++run) {
    auto p = loaded(s);
    if (!p.ok()) return unfit(p.error());
    TENON_ASSIGN(const std::string text, p->lowered_all(0));
    if (run > 0 && text != first) return failed("the same files are lowered to other numbers");
    first = text;
  }
  return passed();
}

Finding slots_apart(const Subject& s) {
  auto p = loaded(s);
  if (!p.ok()) return unfit(p.error());
  TENON_ASSIGN(const std::string before, p->lowered_all(0));
  Files other = Files::low_rank(3);
  other.scale = -2;
  TENON_TRY(p->load(5, std::move(other)));
  TENON_ASSIGN(const std::string beside, p->lowered_all(5));
  if (beside == before) return failed("another adapter is lowered to the same numbers");
  p->table.free_slot(0);
  Files third = Files::low_rank(4);
  TENON_TRY(p->load(0, std::move(third)));
  TENON_ASSIGN(const std::string after, p->lowered_all(0));
  if (after == before) return failed("a slot that was freed keeps its old adapter");
  p->table.free_slot(5);
  p->table.free_slot(0);
  return passed();
}

Finding name_is_nothing(const Subject& s) {
  auto p = loaded(s);
  if (!p.ok()) return unfit(p.error());
  TENON_ASSIGN(const std::string before, p->lowered_all(0));
  p->table.free_slot(0);
  Files same_name = Files::low_rank(2);
  same_name.scale = 3;
  TENON_TRY(p->load(0, std::move(same_name)));
  TENON_ASSIGN(const std::string after, p->lowered_all(0));
  return before != after ? passed()
                         : failed("new weights under an old name are lowered to the old numbers");
}

// Every broken configuration is an error with a message, and leaves the slot usable.
Finding bad_files(const Subject& s) {
  auto p = loaded(s);
  if (!p.ok()) return unfit(p.error());
  std::vector<std::pair<const char*, Files>> bad;
  const auto add = [&](const char* what, Files files) { bad.emplace_back(what, std::move(files)); };
  for (const char* config : {"", "{", "[]", "null", "{}", "{\"r\": \"x\"}", "\xff\xfe",
                             R"({"peft_type": "LORA", "r": -1, "target_modules": ["q_proj"]})"}) {
    Files files = Files::low_rank(2);
    files.config = config;
    add("a broken configuration", std::move(files));
  }
  Files shape = Files::low_rank(2);
  shape.tensors[0].k += 1;
  add("a factor of another width", std::move(shape));
  Files none = Files::low_rank(2);
  none.tensors.clear();
  add("no tensors", std::move(none));
  Files half = Files::low_rank(2);
  half.tensors.erase(half.tensors.begin());
  add("a factor without its other half", std::move(half));
  for (auto& [what, files] : bad) {
    const Status status = p->load(7, std::move(files));
    if (status.ok()) return failed(std::string("accepts ") + what);
    if (status.error().message.find("without a message") != std::string::npos)
      return failed(std::string("refuses ") + what + " without a message");
  }
  Files good = Files::low_rank(2);
  TENON_TRY(p->load(7, std::move(good)));
  return passed();
}

Finding unreadable(const Subject& s) {
  auto p = loaded(s);
  if (!p.ok()) return unfit(p.error());
  Files files = Files::low_rank(2);
  files.readable = false;
  const Status status = p->load(3, std::move(files));
  if (!status.ok()) return passed();
  for (std::uint32_t site = 0; site < modules().size(); ++site)
    if (!p->lowered(3, site).ok()) return passed();
  return failed("tensors that cannot be read are lowered all the same");
}

Finding many_slots(const Subject& s) {
  auto p = loaded(s);
  if (!p.ok()) return unfit(p.error());
  std::vector<std::string> texts;
  for (std::uint32_t slot = 1; slot < 200; ++slot) {
    Files files = Files::low_rank(1 + static_cast<std::int32_t>(slot % 5));
    files.scale = static_cast<float>(slot);
    TENON_TRY(p->load(slot, std::move(files)));
    TENON_ASSIGN(const std::string text, p->lowered_all(slot));
    texts.push_back(text);
  }
  for (std::uint32_t slot = 1; slot < 200; ++slot) p->table.free_slot(slot);
  std::sort(texts.begin(), texts.end());
  return std::adjacent_find(texts.begin(), texts.end()) == texts.end()
             ? passed()
             : failed("two of 199 different adapters are lowered alike");
}

Finding strangers(const Subject& s) {
  auto p = loaded(s);
  if (!p.ok()) return unfit(p.error());
  tenon_lowered out{};
  if (p->table.lower(0, 999, &out).ok() && out.rank != 0)
    return failed("lowers something at a site that the model does not have");
  if (p->table.lower(123, 0, &out).ok() && out.rank != 0)
    return failed("lowers something of a slot that is empty");
  p->table.free_slot(77);
  return passed();
}

// Random damage to the configuration: refused or accepted, never a crash.
Finding random_damage(const Subject& s) {
  auto p = Opened::open(s);
  if (!p.ok()) return Finding(p.error());
  std::mt19937_64 random(s.seed);
  for (int i = 0; i < 300 * s.effort; ++i) {
    Files files = Files::low_rank(1 + static_cast<std::int32_t>(random() % 4));
    for (std::uint64_t n = random() % 4; n > 0; --n)
      files.config[random() % files.config.size()] = static_cast<char>(random());
    if (random() % 4 == 0) files.config.resize(random() % files.config.size());
    for (tenon_adapter_tensor& tensor : files.tensors)
      if (random() % 20 == 0) {
        tensor.n = static_cast<std::int64_t>(random() % 20);
        tensor.rank = static_cast<std::int32_t>(random() % 4);
      }
    const std::string config = files.config;
    const Status status = p->load(0, std::move(files));
    if (!status.ok() && status.error().message.find("without a message") != std::string::npos)
      return failed("refuses without a message: " + config);
    if (status.ok()) p->table.free_slot(0);
  }
  return passed();
}

constexpr Test kTests[] = {
    {"adapter.loads", "A plain folder changes the sites that it names.", "adapter", loads},
    {"adapter.slots", "Slots do not mix.", "adapter", slots_apart},
    {"adapter.name", "New weights under an old name count.", "adapter", name_is_nothing},
    {"adapter.many", "Two hundred adapters live side by side.", "adapter", many_slots},
    {"adapter.bad-files", "Bad files are refused in words.", "adapter", bad_files},
    {"adapter.unreadable", "A tensor that cannot be read is an error.", "adapter", unreadable},
    {"adapter.strangers", "Unknown sites and slots change nothing.", "adapter", strangers},
    {"adapter.damage", "Randomly damaged files never end the process.", "adapter", random_damage},
    {"determinism.lower", "The same files are lowered the same.", "adapter", again},
};

}  // namespace

std::span<const Test> adapter_tests() { return kTests; }

}  // namespace tenon::conform
