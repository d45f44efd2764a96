// What malloc does with freed memory.
#include <stdlib.h>  // defines __GLIBC__
#ifdef __GLIBC__
#include <malloc.h>
#endif

extern "C" {

// Make malloc reuse large blocks instead of returning them to the system; see keep_freed_memory in utils/allocator.py
void ceco3d_keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_TRIM_THRESHOLD, -1);  // never
  if (!mallopt(M_MMAP_THRESHOLD, 2147483647)) mallopt(M_MMAP_MAX, 0);  // old versions refuse large thresholds
#endif
}
}
