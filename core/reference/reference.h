// The reference backend: slow, obvious, the oracle. It is selected in a manifest like any other
// backend (tenon.backend.reference, parameter policy: exact or contract) and stands in the catalog
// as a built-in entry because tests and the conformance kit need it without a library. It is
// written against the SDK exactly as a plugin is.
#pragma once

#include "tenon/abi/plugin.h"

namespace tenon::reference {

// What its library's entry function would be.
const tenon_plugin_v1* plugin_entry();

// Its plugin.textproto.
const char* descriptor_text();

}  // namespace tenon::reference
