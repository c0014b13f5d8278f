/* Dense causal attention in plain C: nothing but the headers of tenon/abi is needed. A sequence
 * reads all of its pages, on a layer with a window those that the window touches. The arithmetic is
 * the backend's attend; a method at this depth says what is read. */
#include <stdlib.h>
#include <string.h>

#include "tenon/abi/attention.h"
#include "tenon/abi/contract.h"
#include "tenon/abi/plugin.h"

#define MOST_SPECS 8 /* the room that the host gives */

struct tenon_instance {
  int32_t n_layers;
  int32_t* windows;       /* by layer */
  int32_t room;           /* sequences that `read` has room for, for each layer */
  tenon_read_pages* read; /* [layer, room]: valid until the step has ended */
};

static tenon_status refuse(tenon_call* call, tenon_status code, const char* why) {
  call->set_error(call, code, why, strlen(why));
  return code;
}

/* Layers with equal windows share a cache spec, and with it a pool of pages. */
static tenon_status plan_layers(tenon_instance* self, const tenon_attention_geometry* geometry,
                                tenon_layer_plan* layers, tenon_cache_spec* specs,
                                uint32_t* n_specs, tenon_call* call) {
  int32_t* windows = realloc(self->windows, (size_t)geometry->layers * sizeof *windows);
  if (windows == NULL) return refuse(call, TENON_RESOURCE_EXHAUSTED, "out of memory");
  self->windows = windows;
  self->n_layers = geometry->layers;
  self->room = 0;
  *n_specs = 0;
  for (int32_t i = 0; i < geometry->layers; ++i) {
    const int32_t window = geometry->of_layer[i].window;
    uint32_t at = 0;
    while (at < *n_specs && specs[at].window != window) ++at;
    if (at == *n_specs) {
      const tenon_cache_spec spec = {
          {sizeof spec, 0, NULL}, 0, geometry->kv_heads, geometry->head_dim, window};
      if (at == MOST_SPECS)
        return refuse(call, TENON_UNIMPLEMENTED, "more than 8 lengths of window");
      specs[(*n_specs)++] = spec;
    }
    layers[i].spec = (int32_t)at;
    layers[i].spec_layer = specs[at].layers++;
    windows[i] = window;
  }
  return TENON_OK;
}

/* Allocates only when a step has more sequences than any before it. */
static tenon_status select_pages(tenon_instance* self, const tenon_attention_batch* batch,
                                 int32_t layer, tenon_read_set* out, tenon_call* call) {
  if (batch->n_sequences > self->room) {
    const size_t count = (size_t)self->n_layers * (size_t)batch->n_sequences;
    tenon_read_pages* read = malloc(count * sizeof *read);
    if (read == NULL) return refuse(call, TENON_RESOURCE_EXHAUSTED, "out of memory");
    free(self->read);
    self->read = read;
    self->room = batch->n_sequences;
  }
  tenon_read_pages* read = self->read + (size_t)layer * (size_t)self->room;
  for (int32_t i = 0; i < batch->n_sequences; ++i) {
    const tenon_sequence_rows* rows = &batch->sequences[i];
    const int32_t oldest = self->windows[layer] > 0 ? rows->position - self->windows[layer] + 1 : 0;
    int32_t first = oldest > 0 ? oldest / TENON_PAGE_TOKENS : 0;
    if (first < rows->first_page) first = rows->first_page;
    const tenon_read_pages pages = {rows->pages + first, NULL, rows->n_pages - first, first};
    read[i] = pages;
  }
  const tenon_read_set set = {{sizeof set, 0, NULL}, read, batch->n_sequences, 0};
  *out = set;
  return TENON_OK;
}

static tenon_status create(const tenon_create_args* args, tenon_instance** out, tenon_call* call) {
  (void)args;
  tenon_instance* self = calloc(1, sizeof *self);
  if (self == NULL) return refuse(call, TENON_RESOURCE_EXHAUSTED, "out of memory");
  *out = self;
  return TENON_OK;
}

static void destroy(tenon_instance* self) {
  free(self->windows);
  free(self->read);
  free(self);
}

static const void* get_interface(tenon_instance* self, const char* id) {
  static const tenon_attention_v1 table = {{sizeof table, 0, NULL}, plan_layers, select_pages};
  (void)self;
  return strcmp(id, TENON_ATTENTION_ID) == 0 ? &table : NULL;
}

TENON_EXPORT const tenon_plugin_v1* tenon_plugin_entry_v1(void) {
  static const tenon_plugin_v1 entry = {
      {sizeof entry, 0, NULL}, TENON_ABI_EPOCH, 0, create, destroy, get_interface};
  return &entry;
}
