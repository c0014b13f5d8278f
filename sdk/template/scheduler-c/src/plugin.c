/* First in, first out, in plain C: nothing but the headers of tenon/abi is needed. A step runs the
 * next tokens of every running request, at most a chunk each, and admits those that wait in the
 * order of arrival while their pages fit. When pages run out, who came last gives up its own and
 * starts again. */
#include <stdlib.h>
#include <string.h>

#include "tenon/abi/plugin.h"
#include "tenon/abi/scheduler.h"

#define MOST_POOLS 8 /* the core has no more */

struct tenon_instance {
  int64_t chunk, max_sequences;
};

/* What the pools have left while a plan is made. */
struct budget {
  const tenon_schedule_view* view;
  int64_t free[MOST_POOLS];
};

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* Pages that the request takes from a pool to run up to token `end`: those that its tokens have not
 * taken yet, but for the part of a prefix hit that has left the pool's window, and copies. */
static int64_t wanted(const struct budget* b, const tenon_request_view* r, int64_t end,
                      uint32_t pool) {
  const int64_t page = b->view->page_tokens, window = b->view->pools[pool].window;
  const int64_t unread = window > 0 ? larger(0, r->computed - window + 1) / page : 0;
  return larger(0, (end + page - 1) / page - larger(r->held_pages, unread)) + r->pages[pool].extra;
}

static int fits(const struct budget* b, const tenon_request_view* r, int64_t end) {
  for (uint32_t i = 0; i < b->view->n_pools; ++i)
    if (wanted(b, r, end, i) > b->free[i]) return 0;
  return 1;
}

/* The end of the next chunk, or of as much of it as there are pages for. */
static int64_t end_of(const struct tenon_instance* self, const struct budget* b,
                      const tenon_request_view* r) {
  int64_t end = smaller(r->known, r->computed + self->chunk);
  while (end > r->computed && !fits(b, r, end)) /* down to the end of the page before */
    end = larger(r->computed, (end - 1) / b->view->page_tokens * b->view->page_tokens);
  return end;
}

static void run(const struct tenon_instance* self, struct budget* b, const tenon_request_view* r,
                tenon_plan* out) {
  const int64_t end = end_of(self, b, r);
  if (end == r->computed || out->n_items == out->max_items) return;
  const tenon_plan_item item = {r->id, r->computed, (int32_t)end};
  out->items[out->n_items++] = item;
  for (uint32_t i = 0; i < b->view->n_pools; ++i) b->free[i] -= wanted(b, r, end, i);
}

static tenon_status plan(tenon_instance* self, const tenon_schedule_view* view, tenon_plan* out,
                         tenon_call* call) {
  struct budget b = {view, {0}};
  uint32_t kept = view->n_running;
  (void)call;
  out->n_items = out->n_preempt = 0;
  for (uint32_t i = 0; i < view->n_pools && i < MOST_POOLS; ++i)
    b.free[i] = view->pools[i].free_pages;

  for (uint32_t i = 0; i < kept; ++i) {
    const tenon_request_view* r = &view->running[i];
    while (end_of(self, &b, r) == r->computed && kept > i + 1) {
      const tenon_request_view* victim = &view->running[--kept];
      out->preempt[out->n_preempt++] = victim->id;
      for (uint32_t p = 0; p < view->n_pools; ++p) b.free[p] += victim->pages[p].freed;
    }
    run(self, &b, r, out);
  }
  /* One prompt at a time, and a new one only when nobody is in the middle of his: then the pages
   * that are free are those of nobody. */
  for (uint32_t i = 0; i < kept; ++i)
    if (view->running[i].known - view->running[i].computed > 1) return TENON_OK;
  if (out->n_preempt == 0 && view->n_waiting > 0 && view->n_running < self->max_sequences) {
    const tenon_request_view* r = &view->waiting[0];
    /* Room for the token that follows as well, unless it is alone and cannot have it. */
    const int64_t room = smaller(r->known + 1, r->limit);
    if (fits(&b, r, room) || view->n_running == 0) run(self, &b, r, out);
  }
  return TENON_OK;
}

/* The host has checked the parameters against plugin.textproto and gives all of them. */
static int64_t int_param(const tenon_create_args* args, const char* key) {
  for (uint64_t i = 0; i < args->n_params; ++i)
    if (args->params[i].key.len == strlen(key) &&
        memcmp(args->params[i].key.ptr, key, strlen(key)) == 0)
      return args->params[i].value.i;
  return 0;
}

static tenon_status create(const tenon_create_args* args, tenon_instance** out, tenon_call* call) {
  tenon_instance* self = malloc(sizeof *self);
  if (self == NULL) {
    call->set_error(call, TENON_RESOURCE_EXHAUSTED, "out of memory", 13);
    return TENON_RESOURCE_EXHAUSTED;
  }
  self->chunk = int_param(args, "chunk_tokens");
  self->max_sequences = int_param(args, "max_sequences");
  *out = self;
  return TENON_OK;
}

static void destroy(tenon_instance* self) { free(self); }

static const void* get_interface(tenon_instance* self, const char* id) {
  static const tenon_scheduler_v1 table = {{sizeof table, 0, NULL}, plan};
  (void)self;
  return strcmp(id, TENON_SCHEDULER_ID) == 0 ? &table : NULL;
}

TENON_EXPORT const tenon_plugin_v1* tenon_plugin_entry_v1(void) {
  static const tenon_plugin_v1 entry = {
      {sizeof entry, 0, NULL}, TENON_ABI_EPOCH, 0, create, destroy, get_interface};
  return &entry;
}
