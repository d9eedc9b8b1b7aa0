// SPDX-License-Identifier: Apache-2.0
// Counts what memcpy and memmove move in pieces of 16 KB and more, by the library that asks for it.
// Loaded with LD_PRELOAD by `python -m benchmarks.copies`; writes "calls bytes-a-call library" lines at
// exit.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEAST = 16384, MOST_KINDS = 4096 };

static struct { const void *library; char *name; size_t size; unsigned long calls; } seen[MOST_KINDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void count(void *caller, size_t size) {
  Dl_info info;
  if (!dladdr(caller, &info) || info.dli_fname == NULL) return;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < MOST_KINDS; ++i) {
    if (seen[i].name == NULL) {
      seen[i].library = info.dli_fbase;
      seen[i].name = strdup(info.dli_fname);  // the library may be gone at exit
      seen[i].size = size;
    }
    if (seen[i].library == info.dli_fbase && seen[i].size == size) {
      seen[i].calls += 1;
      break;
    }
  }
  pthread_mutex_unlock(&lock);
}

void *memmove(void *to, const void *from, size_t size) {
  static void *(*real)(void *, const void *, size_t);
  if (real == NULL) real = dlsym(RTLD_NEXT, "memmove");
  if (size >= LEAST) count(__builtin_return_address(0), size);
  return real(to, from, size);
}

void *memcpy(void *to, const void *from, size_t size) {
  static void *(*real)(void *, const void *, size_t);
  if (real == NULL) real = dlsym(RTLD_NEXT, "memmove");  // glibc's memcpy has two versions
  if (size >= LEAST) count(__builtin_return_address(0), size);
  return real(to, from, size);
}

__attribute__((destructor)) static void write_down(void) {
  const char *folder = getenv("FUSION_ROS_COPIES");
  if (folder == NULL) return;
  char path[4096];
  snprintf(path, sizeof path, "%s/%d.copies", folder, (int)getpid());
  FILE *file = fopen(path, "w");
  if (file == NULL) return;
  for (int i = 0; i < MOST_KINDS && seen[i].name; ++i)
    fprintf(file, "%lu %zu %s\n", seen[i].calls, seen[i].size, seen[i].name);
  fclose(file);
}
