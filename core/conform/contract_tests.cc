// What holds for an instance of any kind.
#include <algorithm>
#include <array>
#include <thread>

#include "core/conform/process_watch.h"
#include "core/conform/raw_create.h"

namespace tenon::conform {
namespace {

// The size of the table of a kind's interface, as this host reads it.
std::size_t table_bytes(const std::string& kind) {
  if (kind == "adapter") return sizeof(tenon_adapter_v1);
  if (kind == "attention") return sizeof(tenon_attention_v1);
  if (kind == "backend") return sizeof(tenon_backend_v1);
  if (kind == "cache") return sizeof(tenon_cache_v1);
  if (kind == "comm") return sizeof(tenon_comm_v1);
  if (kind == "model") return sizeof(tenon_model_v1);
  if (kind == "parallelism") return sizeof(tenon_parallelism_v1);
  if (kind == "scheduler") return sizeof(tenon_scheduler_v1);
  return sizeof(tenon_hdr);
}

std::string interface_of(const Subject& s) { return "tenon." + s.descriptor().kind + "/1"; }

Finding creates(const Subject& s) {
  TENON_ASSIGN(auto rig, Rig::open(s));
  return passed();
}

Finding many(const Subject& s) {
  std::vector<std::unique_ptr<Rig>> rigs;
  for (int i = 0; i < 32; ++i) {
    TENON_ASSIGN(auto rig, Rig::open(s));
    for (const auto& other : rigs)
      if (other->instance().handle() == rig->instance().handle())
        return failed("two instances are one");
    rigs.push_back(std::move(rig));
  }
  // The first made is the first to go, then every other one.
  for (std::size_t step : {2, 1})
    for (std::size_t i = 0; i < rigs.size(); i += step) rigs[i].reset();
  return passed();
}

Finding table_is_whole(const Subject& s) {
  TENON_ASSIGN(auto rig, Rig::open(s));
  TENON_ASSIGN(const void* table, rig->instance().interface(interface_of(s).c_str(),
                                                            table_bytes(s.descriptor().kind)));
  (void)table;
  return passed();
}

// The table of an interface belongs to the image; a host keeps the pointer.
Finding table_stays(const Subject& s) {
  TENON_ASSIGN(auto rig, Rig::open(s));
  const std::string id = interface_of(s);
  TENON_ASSIGN(const void* first, rig->instance().interface(id.c_str(), sizeof(tenon_hdr)));
  TENON_ASSIGN(const void* second, rig->instance().interface(id.c_str(), sizeof(tenon_hdr)));
  if (first != second) return failed("get_interface() gives another table each time");
  return passed();
}

Finding wrong_ids(const Subject& s) {
  TENON_ASSIGN(auto rig, Rig::open(s));
  TENON_ASSIGN(const tenon_plugin_v1* table, open_plugin(s.file));
  const std::string own = interface_of(s);
  for (const std::string& id : {std::string(), std::string("tenon.nothing/1"), own + "0", own + " ",
                                own.substr(0, own.size() - 1) + "99", own.substr(0, own.size() - 2),
                                std::string("x") + own})
    if (table->get_interface(rig->instance().handle(), id.c_str()) != nullptr)
      return failed("gives a table for \"" + id + "\", which it does not list");
  return passed();
}

Finding from_any_thread(const Subject& s) {
  TENON_ASSIGN(auto rig, Rig::open(s));
  TENON_ASSIGN(const tenon_plugin_v1* table, open_plugin(s.file));
  const std::string id = interface_of(s);
  const void* want = table->get_interface(rig->instance().handle(), id.c_str());
  std::array<bool, 4> same{};
  std::vector<std::thread> threads;
  for (bool& good : same)
    threads.emplace_back([&] {
      good = true;
      for (int i = 0; i < 1000; ++i)
        good = good && table->get_interface(rig->instance().handle(), id.c_str()) == want;
    });
  for (std::thread& thread : threads) thread.join();
  if (std::find(same.begin(), same.end(), false) != same.end())
    return failed("get_interface() answers differently when several threads ask");
  return passed();
}

Finding expect_success(const RawCreate& made, const tenon_plugin_v1* table, const char* what) {
  if (made.status != TENON_OK) return failed(std::string(what) + ": " + made.message);
  return check_outcome(made, table);
}

Finding newer_host(const Subject& s) {
  TENON_ASSIGN(RawHost r, RawHost::open(s));
  RawCreate made(r.rig->host(), s.descriptor().id, r.params);
  made.args.args.hdr.size = sizeof made.args;
  made.host.host.hdr.size = sizeof made.host;
  made.call(r.table);
  return expect_success(made, r.table, "create() refuses structs that have grown");
}

Finding unknown_link(const Subject& s) {
  TENON_ASSIGN(RawHost r, RawHost::open(s));
  const tenon_hdr link{sizeof link, 0x7eadbeef, nullptr};
  RawCreate made(r.rig->host(), s.descriptor().id, r.params);
  made.args.args.hdr.next = &link;
  made.host.host.hdr.next = &link;
  made.call(r.table);
  return expect_success(made, r.table, "create() does not ignore an unknown link");
}

Finding without_services(const Subject& s) {
  if (s.descriptor().kind == "comm") return skipped("each rank brings them in attach()");
  TENON_ASSIGN(ResolvedParams params, s.resolve());
  TENON_ASSIGN(const tenon_plugin_v1* table, open_plugin(s.file));
  const tenon_host bare{{sizeof bare, 0, nullptr},
                        nullptr,
                        [](void*, std::int32_t, tenon_str) {},
                        [](void*, const char*) -> const void* { return nullptr; }};
  RawCreate made(bare, s.descriptor().id, params);
  made.call(table);
  if (made.status == TENON_OK && !s.descriptor().services.empty()) {
    table->destroy(made.instance);
    return warned("create() succeeds without the services that the descriptor lists");
  }
  return check_outcome(made, table);
}

Finding asks_what_it_lists(const Subject& s) {
  TENON_ASSIGN(auto rig, Rig::open(s));
  const std::vector<std::string>& listed = s.descriptor().services;
  for (const std::string& id : rig->services_asked())
    if (std::find(listed.begin(), listed.end(), id) == listed.end())
      return failed("asks for service " + id + ", which its descriptor does not list");
  return passed();
}

Finding no_threads(const Subject& s) {
  TENON_ASSIGN(auto first, Rig::open(s));  // what an image starts once is seen by load.threads
  const std::size_t before = threads_of_this_process();
  TENON_ASSIGN(auto rig, Rig::open(s));
  if (const std::size_t after = threads_of_this_process(); after != before)
    return failed("an instance starts " + std::to_string(after - before) + " threads of its own");
  return passed();
}

Finding says_nothing(const Subject& s) {
  CapturedOutput output({1, 2});
  const auto rig = Rig::open(s);
  const std::string text = output.finish();
  if (!text.empty())
    return failed("creating an instance writes to the process's output: \"" + text.substr(0, 80) +
                  "\"; use the host's log");
  return rig.ok() ? passed() : Finding(rig.error());
}

constexpr Test kTests[] = {
    {"contract.create", "An instance can be made.", nullptr, creates},
    {"contract.many", "Many instances live side by side and go in any order.", nullptr, many},
    {"contract.table", "The table of its kind is whole.", nullptr, table_is_whole},
    {"contract.table-stays", "get_interface() gives the same table every time.", nullptr,
     table_stays},
    {"contract.unknown-interface", "An id that is not its own gives no table.", nullptr, wrong_ids},
    {"contract.any-thread", "get_interface() can be asked by several threads.", nullptr,
     from_any_thread},
    {"contract.newer-host", "Structs of a newer host are accepted.", nullptr, newer_host},
    {"contract.unknown-link", "Unknown links are ignored.", nullptr, unknown_link},
    {"contract.no-services", "A host without services is refused with a message.", nullptr,
     without_services},
    {"contract.services", "It asks only for services that it lists.", nullptr, asks_what_it_lists},
    {"contract.threads", "An instance starts no thread.", nullptr, no_threads},
    {"contract.output", "Making an instance writes nothing to the output.", nullptr, says_nothing},
};

}  // namespace

std::span<const Test> contract_tests() { return kTests; }

}  // namespace tenon::conform
