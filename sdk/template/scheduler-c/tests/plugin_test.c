/* Opens the library and drives its table, as a host does. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "tenon/abi/plugin.h"
#include "tenon/abi/scheduler.h"

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

static tenon_param int_param(const char* key, int64_t value) {
  tenon_param param = {{key, strlen(key)}, TENON_PARAM_TYPE_INT64, 0, {value}};
  return param;
}

static const tenon_request_pages kNoPages = {0, 0};

static tenon_request_view request(uint64_t id, int32_t known, int32_t computed) {
  tenon_request_view view = {
      id, id, known, computed, known, known + 100, (computed + 63) / 64, 0, &kNoPages};
  return view;
}

int main(int argc, char** argv) {
  void* library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  CHECK(library != NULL);
  const tenon_plugin_v1* (*entry)(void) = NULL;
  *(void**)&entry = dlsym(library, TENON_ENTRY_SYMBOL);
  CHECK(entry != NULL);
  const tenon_plugin_v1* plugin = entry();
  tenon_call call = {{sizeof call, 0, NULL}, NULL, set_error};
  const tenon_param params[] = {int_param("chunk_tokens", 100), int_param("max_sequences", 3)};
  const tenon_create_args args = {{sizeof args, 0, NULL}, NULL, {"test", 4}, params, 2};
  tenon_instance* self = NULL;
  CHECK(plugin->create(&args, &self, &call) == TENON_OK);
  const tenon_scheduler_v1* table = plugin->get_interface(self, TENON_SCHEDULER_ID);
  CHECK(table != NULL && plugin->get_interface(self, "tenon.scheduler/999") == NULL);

  tenon_plan_item items[8];
  uint64_t preempt[8];
  tenon_plan plan = {{sizeof plan, 0, NULL}, items, 0, 8, preempt, 0, 8};
  tenon_pool_view pool = {50, 0, 100, 0};
  tenon_request_view running[2] = {request(1, 51, 50), request(2, 129, 128)};
  const tenon_request_view waiting[1] = {request(3, 250, 0)};
  tenon_schedule_view view = {{sizeof view, 0, NULL}, waiting, 1, 2, running, &pool, 1, 64};

  /* Two decode, the third begins its prompt. */
  CHECK(table->plan(self, &view, &plan, &call) == TENON_OK);
  CHECK(plan.n_items == 3 && plan.n_preempt == 0);
  CHECK(items[0].request == 1 && items[0].begin == 50 && items[0].end == 51);
  CHECK(items[2].request == 3 && items[2].begin == 0 && items[2].end == 100);

  /* Its prompt does not fit: it waits. */
  pool.free_pages = 3;
  CHECK(table->plan(self, &view, &plan, &call) == TENON_OK);
  CHECK(plan.n_items == 2);

  /* The earlier one needs a page and there is none: the last arrival gives up its own. */
  const tenon_request_pages frees = {0, 3};
  running[0] = request(1, 65, 64);
  running[1].pages = &frees;
  pool.free_pages = 0;
  CHECK(table->plan(self, &view, &plan, &call) == TENON_OK);
  CHECK(plan.n_preempt == 1 && preempt[0] == 2);
  CHECK(plan.n_items == 1 && items[0].request == 1);

  plugin->destroy(self);
  return 0;
}
