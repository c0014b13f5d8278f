// inspect, model and adapter: the commands about files.
#include "apps/tenon/cli_parts.h"

namespace tenon::app {
namespace {

void declare_inspect(CLI::App& app, Parsed& parsed) {
  CLI::App* inspect = add_command(app, "inspect", "What a plugin, a model or a manifest contains",
                                  "inspect", parsed, &Parsed::inspect);
  inspect->add_option("FILE", parsed.inspect.file, "A .so, .gguf, .textproto or .json")->required();
  inspect->add_flag("--tensors", parsed.inspect.tensors, "Every tensor of a model");
  inspect->add_flag("--json", parsed.inspect.json, "Print JSON");
}

void declare_model(CLI::App& app, Parsed& parsed) {
  CLI::App* model = app.add_subcommand("model", "Models known by name: list, pull");
  model->footer(std::string(examples_of("model")));
  model->require_subcommand(1);
  CLI::App* list = add_command(*model, "list", "Show the known models and which are here",
                               "model list", parsed, &Parsed::model_list);
  list->add_flag("--json", parsed.model_list.json, "Print JSON");
  CLI::App* pull = add_command(*model, "pull", "Fetch a model and print its path", "model pull",
                               parsed, &Parsed::model_pull);
  pull->add_option("NAME", parsed.model_pull.name, "A name that `tenon model list` shows")
      ->required();
  pull->add_flag("--json", parsed.model_pull.json, "Print JSON, errors included");
}

void declare_adapter(CLI::App& app, Parsed& parsed) {
  CLI::App* adapter = app.add_subcommand("adapter", "Adapters that are kept: list, load, remove");
  adapter->footer(std::string(examples_of("adapter")));
  adapter->require_subcommand(1);
  CLI::App* list = add_command(*adapter, "list", "Show the adapters that are kept", "adapter list",
                               parsed, &Parsed::adapter_list);
  list->add_option("-m,--manifest", parsed.adapter_list.manifest, "And those of this manifest")
      ->type_name("FILE");
  list->add_flag("--json", parsed.adapter_list.json, "Print JSON");
  AdapterLoadCommand& load = parsed.adapter_load;
  CLI::App* loaded = add_command(*adapter, "load", "Check an adapter against a model and keep it",
                                 "adapter load", parsed, &Parsed::adapter_load);
  loaded->add_option("FOLDER", load.folder, "With adapter_config.json and the tensors")->required();
  loaded->add_option("--name", load.name, "What requests call it; default: the folder's name");
  loaded->add_flag("--json", load.json, "Print JSON, errors included");
  add_engine(*loaded, load.engine);
  CLI::App* remove = add_command(*adapter, "remove", "Remove an adapter that is kept",
                                 "adapter remove", parsed, &Parsed::adapter_remove);
  remove->add_option("NAME", parsed.adapter_remove.name, "As `tenon adapter list` shows")
      ->required();
  remove->add_flag("--json", parsed.adapter_remove.json, "Print JSON, errors included");
}

}  // namespace

void declare_files(CLI::App& app, Parsed& parsed) {
  declare_inspect(app, parsed);
  declare_model(app, parsed);
  declare_adapter(app, parsed);
}

}  // namespace tenon::app
