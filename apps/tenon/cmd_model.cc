#include <cinttypes>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/tenon/cli.h"
#include "apps/tenon/interrupt.h"
#include "apps/tenon/model_store.h"
#include "apps/tenon/progress.h"

namespace tenon::app {
namespace {

void print(const nlohmann::json& value) {
  std::puts(value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

}  // namespace

int run_command(const ModelListCommand& command) {
  const auto store = ModelStore::open();
  if (!store.ok()) return report_error(store.error(), command.json);
  if (command.json) {
    nlohmann::json list = nlohmann::json::array();
    for (const KnownModel& model : known_models())
      list.push_back({{"name", model.name},
                      {"bytes", model.bytes},
                      {"sha256", model.sha256},
                      {"license", model.license},
                      {"about", model.about},
                      {"here", store->has(model)},
                      {"path", store->path_of(model)},
                      {"terms", model.terms ? nlohmann::json(store->terms_path_of(model))
                                            : nlohmann::json(nullptr)}});
    print(list);
    return kExitOk;
  }
  std::printf("%-24s %8s  %-11s %-5s %s\n", "NAME", "SIZE", "LICENSE", "HERE", "ABOUT");
  for (const KnownModel& model : known_models())
    std::printf("%-24s %5" PRIu64 " MB  %-11s %-5s %s\n", model.name.c_str(),
                model.bytes / 1'000'000, model.license.c_str(), store->has(model) ? "yes" : "no",
                model.about.c_str());
  return kExitOk;
}

int run_command(const ModelPullCommand& command) {
  const auto model = find_model(command.name);
  if (!model.ok()) return report_error(model.error(), command.json);
  Result<Pulled> pulled = Error{};
  {
    PullDisplay display(model->name);
    const auto store =
        ModelStore::open({.progress = [&](const PullProgress& progress) { display.show(progress); },
                          .keep_going = [] { return !interrupted(); }});
    pulled = store.ok() ? store->pull(*model, /*check_again=*/true) : Result<Pulled>(store.error());
  }
  if (!pulled.ok()) return report_error(pulled.error(), command.json);
  show_terms(model->name, *pulled);
  if (command.json)
    print(
        {{"name", model->name},
         {"path", pulled->path},
         {"bytes", model->bytes},
         {"sha256", model->sha256},
         {"terms", pulled->terms.empty() ? nlohmann::json(nullptr) : nlohmann::json(pulled->terms)},
         {"downloaded", pulled->downloaded}});
  else
    std::printf("%s\n", pulled->path.c_str());
  return kExitOk;
}

}  // namespace tenon::app
