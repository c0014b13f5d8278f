// From what a command line says of an engine to the engine: plugins found, manifest read and
// changed as asked, model fetched, everything loaded.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/tenon/adapter_store.h"
#include "apps/tenon/cli.h"
#include "core/base/error.h"
#include "core/format/chat_template.h"
#include "core/load/loaded_engine.h"
#include "core/manifest/manifest.h"
#include "core/plugin/assembly.h"
#include "core/plugin/catalog.h"

namespace tenon::app {

struct Session {
  PluginCatalog catalog;  // outlives the engine
  Manifest manifest;      // as it was used
  std::string model_path;
  AdapterWish adapters;  // of the command line
  std::unique_ptr<LoadedEngine> engine;
};

// The operator's rules; in production plugins lie in the installation's folder unless they say
// otherwise.
Result<HostConfig> host_of_this_machine();

// Is every call between core and plugins checked? The command line, then TENON_CHECK_BOUNDARY, then
// the host's configuration, then how this program was built.
bool checks_boundary(const EngineChoice& choice, const HostConfig& host);

// Plugins of the folders, and those built in. Broken files are reported once, as warnings. With
// `without_pins` a manifest may lack the pins that this host otherwise wants: to write them.
Result<PluginCatalog> open_catalog(const std::vector<std::string>& directories,
                                   bool without_pins = false);

// The manifest with the changes asked for. The built-in one is apps/manifests/default.textproto.
Result<Manifest> choose_manifest(const EngineChoice& choice);

// The file that a manifest's model means, fetched when it is not here and compared with the
// manifest's sha256. TENON-A031: another file.
Result<std::string> find_model_file(const Manifest& manifest);

// The same where it is here already: none when it is a known model that was not fetched yet.
// TENON-M030: the file that the manifest names is not there.
Result<std::optional<std::string>> model_at_hand(const Manifest& manifest);

// Do the plugins fit, and were they run together? TENON-P066 unless `allow_untested` or the host's
// configuration says that this may be.
Status check_assembly(const Assembly& assembly, const Manifest& manifest,
                      const PluginCatalog& catalog, bool allow_untested);

// What is degraded is said once, as warnings.
Result<std::unique_ptr<Session>> open_session(const EngineChoice& choice);
// For a command that changes the manifest further: of `choice` what is not in it.
Result<std::unique_ptr<Session>> open_session(Manifest manifest, const EngineChoice& choice);

// The model file's own; none when it has none.
Result<std::optional<ChatTemplate>> chat_template_of(const LoadedEngine& engine);

// Steps until no request is live; on an interrupt every request is ended first. TENON-A017 then.
// After an error of the engine, too, none of `requests` is live.
Status run_until_done(Engine& engine, const std::vector<std::uint64_t>& requests);

// A file's whole text, or stdin's for "-". TENON-A030 when it cannot be read.
Result<std::string> read_input(const std::string& path);

}  // namespace tenon::app
