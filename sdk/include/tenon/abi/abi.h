/* The ground of the plugin boundary: what every generated table stands on. C11; the C++ layer is
 * tenon/sdk.
 *
 * Rules. Every struct that may grow starts with tenon_hdr; `size` is sizeof at the writer's compile
 * time and a receiver tests it before it reads a later field (TENON_HAS). Strings are borrowed
 * UTF-8. No C++ type, exception, allocator or FILE* crosses. A call that fails returns a code and
 * leaves a message through tenon_call.set_error. Thread tags: [load] serialised, once; [control]
 * between steps, may block and allocate; [step] inside a step, one at a time per instance, no
 * allocation, no blocking; [stream] work for the engine's stream: while it loads, between steps or
 * inside one, one at a time per instance; [any] concurrent. */
#ifndef TENON_ABI_ABI_H_
#define TENON_ABI_ABI_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define TENON_STATIC_ASSERT(condition, text) static_assert(condition, text)
#define TENON_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define TENON_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#define TENON_EXPORT __attribute__((visibility("default")))
#endif

/* An incompatible redesign raises the epoch and renames the entry function. */
#define TENON_ABI_EPOCH 1u
#define TENON_ENTRY_SYMBOL "tenon_plugin_entry_v1"
#define TENON_DESCRIPTOR_SECTION ".tenon.plugin"

typedef struct tenon_hdr {
  uint32_t size;                /* sizeof the whole struct, as its writer compiled it */
  uint32_t type;                /* 0, or the id of a link in `next` */
  const struct tenon_hdr* next; /* draft additions; unknown links are ignored */
} tenon_hdr;

/* Does the writer's struct reach up to field f? */
#define TENON_HAS(p, f) ((p)->hdr.size >= offsetof(__typeof__(*(p)), f) + sizeof((p)->f))

typedef struct tenon_str {
  const char*
      ptr; /* UTF-8, not terminated; borrowed until the call returns unless said otherwise */
  uint64_t len;
} tenon_str;

typedef int32_t tenon_status; /* 0 ok; Abseil numbering */
enum {
  TENON_OK = 0,
  TENON_CANCELLED = 1,
  TENON_UNKNOWN = 2,
  TENON_INVALID_ARGUMENT = 3,
  TENON_NOT_FOUND = 5,
  TENON_RESOURCE_EXHAUSTED = 8,
  TENON_FAILED_PRECONDITION = 9,
  TENON_OUT_OF_RANGE = 11,
  TENON_UNIMPLEMENTED = 12,
  TENON_INTERNAL = 13,
  TENON_UNAVAILABLE = 14
};

typedef struct tenon_instance
    tenon_instance;                       /* opaque, the plugin's: one configured use of an image */
typedef struct tenon_tensor tenon_tensor; /* opaque, the core's: a counted handle on device data */

/* One per call; the caller owns it; valid until the slot returns. */
typedef struct tenon_call {
  tenon_hdr hdr;
  void* ctx;                                                                      /* the caller's */
  void (*set_error)(struct tenon_call* call, tenon_status code, const char* text, /* copies text */
                    uint64_t len);
} tenon_call;

/* DLPack's tensor view, field for field, so that a DLTensor of any other header is the same struct.
 */
typedef struct tenon_dl_device {
  int32_t device_type; /* kDLCPU = 1, kDLCUDA = 2 */
  int32_t device_id;
} tenon_dl_device;
typedef struct tenon_dl_type {
  uint8_t code; /* 0 int, 1 uint, 2 float, 4 bfloat */
  uint8_t bits;
  uint16_t lanes;
} tenon_dl_type;
typedef struct tenon_view {
  void* data;
  tenon_dl_device device;
  int32_t ndim;
  tenon_dl_type dtype;
  int64_t* shape;
  int64_t* strides; /* never null from us; in elements */
  uint64_t byte_offset;
} tenon_view;

TENON_STATIC_ASSERT(sizeof(tenon_hdr) == 16, "frozen");
TENON_STATIC_ASSERT(sizeof(tenon_str) == 16, "frozen");
TENON_STATIC_ASSERT(sizeof(tenon_call) == 32, "frozen");
TENON_STATIC_ASSERT(sizeof(tenon_view) == 48, "frozen");

#ifdef __cplusplus
}
#endif
#endif /* TENON_ABI_ABI_H_ */
