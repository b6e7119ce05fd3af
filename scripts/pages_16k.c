/* A library to preload: the memory calls of a kernel with pages of 16 KiB, on one with pages of 4 KiB.
 *
 * sysconf and getpagesize say 16384, new maps begin at multiples of that, and an offset or an address that is none ends the
 * process with a line. What the C library does inside of itself is not seen. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 16384ul

static void check(const char *call, uintptr_t number) {
    if (number % PAGE) {
        fprintf(stderr, "pages_16k: %s with %#lx, which is no multiple of 16 KiB\n", call, (unsigned long)number);
        abort();
    }
}

static size_t whole(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

long sysconf(int name) {
    static long (*next)(int);
    if (name == _SC_PAGESIZE) return PAGE;
    if (!next) next = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
    return next(name);
}

int getpagesize(void) { return PAGE; }

void *mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset) {
    check("mmap", (uintptr_t)offset);
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        check("mmap", (uintptr_t)address);
        return (void *)syscall(SYS_mmap, address, bytes, protection, flags, file, offset);
    }
    /* Room for one page more, of which what stands out is given back. */
    char *room = (char *)syscall(SYS_mmap, NULL, whole(bytes) + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) return MAP_FAILED;
    char *start = (char *)whole((uintptr_t)room);
    if (start > room) syscall(SYS_munmap, room, start - room);
    if (start < room + PAGE) syscall(SYS_munmap, start + whole(bytes), room + PAGE - start);
    void *map = (void *)syscall(SYS_mmap, start, bytes, protection, flags | MAP_FIXED, file, offset);
    if (map == MAP_FAILED) syscall(SYS_munmap, start, whole(bytes));
    return map;
}

void *mmap64(void *address, size_t bytes, int protection, int flags, int file, off_t offset) {
    return mmap(address, bytes, protection, flags, file, offset);
}

int munmap(void *address, size_t bytes) {
    check("munmap", (uintptr_t)address);
    return (int)syscall(SYS_munmap, address, whole(bytes));
}

int mprotect(void *address, size_t bytes, int protection) {
    check("mprotect", (uintptr_t)address);
    return (int)syscall(SYS_mprotect, address, bytes, protection);
}

int madvise(void *address, size_t bytes, int advice) {
    check("madvise", (uintptr_t)address);
    return (int)syscall(SYS_madvise, address, bytes, advice);
}

int posix_madvise(void *address, size_t bytes, int advice) {
    check("posix_madvise", (uintptr_t)address);
    (void)bytes, (void)advice;
    return 0;
}

int msync(void *address, size_t bytes, int flags) {
    check("msync", (uintptr_t)address);
    return (int)syscall(SYS_msync, address, bytes, flags);
}
