/* Opens the library and asks which pages the sequences of a step read. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "tenon/abi/attention.h"
#include "tenon/abi/plugin.h"

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      return 1;                                                               \
    }                                                                         \
  } while (0)

static void set_error(tenon_call* call, tenon_status code, const char* text, uint64_t len) {
  (void)call;
  fprintf(stderr, "error %d: %.*s\n", (int)code, (int)len, text);
}

int main(int argc, char** argv) {
  void* library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  CHECK(library != NULL);
  const tenon_plugin_v1* (*entry)(void) = NULL;
  *(void**)&entry = dlsym(library, TENON_ENTRY_SYMBOL);
  CHECK(entry != NULL);
  const tenon_plugin_v1* plugin = entry();
  tenon_call call = {{sizeof call, 0, NULL}, NULL, set_error};
  const tenon_create_args args = {{sizeof args, 0, NULL}, NULL, {"test", 4}, NULL, 0};
  tenon_instance* self = NULL;
  CHECK(plugin->create(&args, &self, &call) == TENON_OK);
  const tenon_attention_v1* table = plugin->get_interface(self, TENON_ATTENTION_ID);
  CHECK(table != NULL && plugin->get_interface(self, "tenon.attention/999") == NULL);

  /* Three layers, the second with a window: two specs. */
  const tenon_attention_layer of_layer[3] = {
      {10000, 0, -1, -1, 0}, {10000, 128, -1, -1, 0}, {10000, 0, -1, -1, 0}};
  tenon_attention_geometry geometry = {
      {sizeof geometry, 0, NULL}, 3, 1, 1, 32, 0, 0, 1.0, 0.0, of_layer};
  tenon_layer_plan layers[3];
  tenon_cache_spec specs[8];
  uint32_t n_specs = 0;
  CHECK(table->plan_layers(self, &geometry, layers, specs, &n_specs, &call) == TENON_OK);
  CHECK(n_specs == 2 && specs[0].layers == 2 && specs[1].layers == 1 && specs[1].window == 128);
  CHECK(layers[2].spec == 0 && layers[2].spec_layer == 1);

  /* Two sequences; the second is at its token 300. */
  const uint32_t pages[] = {7, 3, 9, 4, 8};
  const tenon_sequence_rows rows[2] = {{0, 2, 0, 1, pages, 0, 0}, {2, 1, 300, 5, pages, 0, 0}};
  const tenon_attention_batch batch = {{sizeof batch, 0, NULL}, rows, 2, 3};
  tenon_read_set read;
  CHECK(table->select(self, &batch, 0, &read, &call) == TENON_OK);
  CHECK(read.n_sequences == 2 && read.sequences[0].n_pages == 1 && read.sequences[1].n_pages == 5);
  CHECK(table->select(self, &batch, 1, &read, &call) == TENON_OK);
  CHECK(read.sequences[1].first_index == 2 && read.sequences[1].n_pages == 3);
  CHECK(read.sequences[1].pages == pages + 2);

  plugin->destroy(self);
  return 0;
}
