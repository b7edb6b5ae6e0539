/* Counts what a process does to the files below one folder, and ends or fails it at one of these acts.

Loaded by LD_PRELOAD, asleep until kd_begin() is called. An act is a call of libc's that opens a file for writing, writes
to, renames, links, removes or cuts one, or makes or removes a folder. Built and spoken to by interpose.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ASLEEP, LIST, KILL_BEFORE, KILL_AFTER, FAIL_ONCE, FAIL_FROM };

static atomic_int mode = ASLEEP, count = 0;
static int at = 0, error_number = 0, log_fd = -1;
static char below[4096];
static size_t below_length = 0;

void kd_begin(const char *folder, int how, int where, int error, int log) {
    strncpy(below, folder, sizeof below - 1);
    below_length = strlen(below);
    at = where, error_number = error, log_fd = log;
    atomic_store(&count, 0);
    atomic_store(&mode, how);
}

/* SQLite's own writes are not counted: between two commits, each the removal of its journal, it is whole by itself. */
static int inside(const char *path, int commits) {
    if (strncmp(path, below, below_length) != 0 || (path[below_length] != '/' && path[below_length] != 0)) return 0;
    return strstr(path, ".db") == NULL || (commits && strstr(path, "-journal") != NULL);
}

static int of_path(int folder, const char *path, char *full, int commits) {
    if (path == NULL) return 0;
    if (path[0] == '/') {
        snprintf(full, 4096, "%s", path);
    } else {
        char link[64], base[2048] = "";
        if (folder == AT_FDCWD) {
            if (getcwd(base, sizeof base) == NULL) return 0;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            ssize_t length = readlink(link, base, sizeof base - 1);
            if (length < 0) return 0;
            base[length] = 0;
        }
        snprintf(full, 4096, "%s/%s", base, path);
    }
    return inside(full, commits);
}

static int of_fd(int fd, char *full) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, full, 4095);
    if (length < 0) return 0;
    full[length] = 0;
    return inside(full, 0);
}

/* Before an act: 1 if it is to fail. */
static int before(const char *act, const char *path, int *number) {
    int how = atomic_load(&mode);
    *number = -1;
    if (how == ASLEEP) return 0;
    *number = atomic_fetch_add(&count, 1);
    if (how == LIST && log_fd >= 0) dprintf(log_fd, "%s\t%s\n", act, path + below_length);
    if (how == KILL_BEFORE && *number == at) kill(getpid(), SIGKILL), pause();
    if (error_number == ENOSPC && (!strcmp(act, "unlink") || !strcmp(act, "rmdir"))) return 0; /* a full disk lets go */
    if ((how == FAIL_ONCE && *number == at) || (how == FAIL_FROM && *number >= at)) {
        errno = error_number;
        return 1;
    }
    return 0;
}

static void after(int number) {
    if (atomic_load(&mode) == KILL_AFTER && number == at) kill(getpid(), SIGKILL), pause();
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define ACT(act, mine, call, failed) \
    do { \
        int number = -1, kept; \
        if (atomic_load(&mode) != ASLEEP && (mine) && before(act, full, &number)) return failed; \
        __typeof__(call) result = call; \
        kept = errno, after(number), errno = kept; \
        return result; \
    } while (0)

static int for_writing(int flags) { return (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0; }

#define OPEN(name, parameters, folder, call) \
    int name parameters { \
        REAL(name); \
        char full[4096]; \
        mode_t permissions = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list more; \
            va_start(more, flags), permissions = va_arg(more, mode_t), va_end(more); \
        } \
        ACT("open", for_writing(flags) && of_path(folder, path, full, 0), call, -1); \
    }
OPEN(open, (const char *path, int flags, ...), AT_FDCWD, real(path, flags, permissions))
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD, real(path, flags, permissions))
OPEN(openat, (int folder, const char *path, int flags, ...), folder, real(folder, path, flags, permissions))
OPEN(openat64, (int folder, const char *path, int flags, ...), folder, real(folder, path, flags, permissions))

#define STREAM(name) \
    FILE *name(const char *path, const char *how) { \
        REAL(name); \
        char full[4096]; \
        ACT("open", strpbrk(how, "wa+") && of_path(AT_FDCWD, path, full, 0), real(path, how), NULL); \
    }
STREAM(fopen)
STREAM(fopen64)

#define ON_FD(type, name, act, parameters, arguments) \
    type name parameters { \
        REAL(name); \
        char full[4096]; \
        ACT(act, of_fd(fd, full), real arguments, -1); \
    }
ON_FD(ssize_t, write, "write", (int fd, const void *data, size_t size), (fd, data, size))
ON_FD(ssize_t, pwrite, "write", (int fd, const void *data, size_t size, off_t place), (fd, data, size, place))
ON_FD(ssize_t, pwrite64, "write", (int fd, const void *data, size_t size, off64_t place), (fd, data, size, place))
ON_FD(ssize_t, writev, "write", (int fd, const struct iovec *parts, int n), (fd, parts, n))
ON_FD(ssize_t, sendfile, "write", (int fd, int from, off_t *place, size_t size), (fd, from, place, size))
ON_FD(ssize_t, sendfile64, "write", (int fd, int from, off64_t *place, size_t size), (fd, from, place, size))
ON_FD(int, ftruncate, "cut", (int fd, off_t size), (fd, size))
ON_FD(int, ftruncate64, "cut", (int fd, off64_t size), (fd, size))

#define ON_PATH(name, act, parameters, folder, path, arguments) \
    int name parameters { \
        REAL(name); \
        char full[4096]; \
        ACT(act, of_path(folder, path, full, !strcmp(act, "unlink")), real arguments, -1); \
    }
ON_PATH(rename, "rename", (const char *old, const char *new), AT_FDCWD, new, (old, new))
ON_PATH(renameat, "rename", (int a, const char *old, int b, const char *new), b, new, (a, old, b, new))
ON_PATH(link, "link", (const char *old, const char *new), AT_FDCWD, new, (old, new))
ON_PATH(linkat, "link", (int a, const char *old, int b, const char *new, int flags), b, new, (a, old, b, new, flags))
ON_PATH(symlink, "link", (const char *old, const char *new), AT_FDCWD, new, (old, new))
ON_PATH(unlink, "unlink", (const char *path), AT_FDCWD, path, (path))
ON_PATH(unlinkat, "unlink", (int a, const char *path, int flags), a, path, (a, path, flags))
ON_PATH(remove, "unlink", (const char *path), AT_FDCWD, path, (path))
ON_PATH(rmdir, "rmdir", (const char *path), AT_FDCWD, path, (path))
ON_PATH(mkdir, "mkdir", (const char *path, mode_t how), AT_FDCWD, path, (path, how))
ON_PATH(mkdirat, "mkdir", (int a, const char *path, mode_t how), a, path, (a, path, how))
ON_PATH(truncate, "cut", (const char *path, off_t size), AT_FDCWD, path, (path, size))
