// A manifest with everything pinned that can be: it loads the same files or nothing.
#pragma once

#include <string>

#include "core/plugin/assembly.h"

namespace tenon {

// Each role gets its exact version and, unless it is built in, its library's path and sha256;
// `model_sha256` may be empty. Where `folder` is another one than the manifest's, paths become
// absolute, so that the text can stand there.
Manifest lock_manifest(const Manifest& manifest, const Assembly& assembly,
                       const std::string& model_sha256, const std::string& folder);

}  // namespace tenon
