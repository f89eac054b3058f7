/* A folder whose file system lacks what others have: LD_PRELOAD it, with ODD_FOLDER and ODD=name,name…
   Names: chmod, flock (errno ODD_ERRNO), locks (fcntl's), shared (mappings), fsync, links, utime. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int lacks(const char *what) {
    const char *odd = getenv("ODD");
    return odd && strstr(odd, what) != NULL;
}
static int below(const char *path) {
    const char *folder = getenv("ODD_FOLDER");
    return folder && path && (path[0] != '/' || strncmp(path, folder, strlen(folder)) == 0);
}
static int holds(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return path[0] == '/' && below(path);
}
#define FAIL(code) do { errno = (code); return -1; } while (0)
#define NEXT(name, type) ((type)dlsym(RTLD_NEXT, name))
static int odd_errno(void) { const char *e = getenv("ODD_ERRNO"); return e ? atoi(e) : ENOSYS; }

int chmod(const char *p, mode_t m) {
    if (lacks("chmod") && below(p)) FAIL(EPERM);
    return NEXT("chmod", int (*)(const char *, mode_t))(p, m);
}
int fchmod(int fd, mode_t m) {
    if (lacks("chmod") && holds(fd)) FAIL(EPERM);
    return NEXT("fchmod", int (*)(int, mode_t))(fd, m);
}
int fchmodat(int d, const char *p, mode_t m, int f) {
    if (lacks("chmod") && below(p)) FAIL(EPERM);
    return NEXT("fchmodat", int (*)(int, const char *, mode_t, int))(d, p, m, f);
}
int flock(int fd, int op) {
    if (lacks("flock") && holds(fd)) FAIL(odd_errno());
    return NEXT("flock", int (*)(int, int))(fd, op);
}
static int locking(int c) { return c == F_SETLK || c == F_SETLKW || c == F_OFD_SETLK || c == F_OFD_SETLKW || c == F_GETLK; }
int fcntl64(int fd, int c, ...) {
    va_list list; va_start(list, c); void *a = va_arg(list, void *); va_end(list);
    if (locking(c) && lacks("locks") && holds(fd)) FAIL(ENOLCK);
    return NEXT("fcntl64", int (*)(int, int, ...))(fd, c, a);
}
int fcntl(int fd, int c, ...) {
    va_list list; va_start(list, c); void *a = va_arg(list, void *); va_end(list);
    if (locking(c) && lacks("locks") && holds(fd)) FAIL(ENOLCK);
    return NEXT("fcntl", int (*)(int, int, ...))(fd, c, a);
}
static int no_mapping(int flags, int fd) {
    return (flags & MAP_TYPE) != MAP_PRIVATE && fd >= 0 && lacks("shared") && holds(fd);
}
void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t off) {
    if (no_mapping(flags, fd)) { errno = ENODEV; return MAP_FAILED; }
    return NEXT("mmap", void *(*)(void *, size_t, int, int, int, off_t))(at, n, prot, flags, fd, off);
}
void *mmap64(void *at, size_t n, int prot, int flags, int fd, off64_t off) {
    if (no_mapping(flags, fd)) { errno = ENODEV; return MAP_FAILED; }
    return NEXT("mmap64", void *(*)(void *, size_t, int, int, int, off64_t))(at, n, prot, flags, fd, off);
}
int fsync(int fd) {
    if (lacks("fsync") && holds(fd)) FAIL(EINVAL);
    return NEXT("fsync", int (*)(int))(fd);
}
int fdatasync(int fd) {
    if (lacks("fsync") && holds(fd)) FAIL(EINVAL);
    return NEXT("fdatasync", int (*)(int))(fd);
}
int link(const char *a, const char *b) {
    if (lacks("links") && below(b)) FAIL(EPERM);
    return NEXT("link", int (*)(const char *, const char *))(a, b);
}
int linkat(int da, const char *a, int db, const char *b, int f) {
    if (lacks("links") && below(b)) FAIL(EPERM);
    return NEXT("linkat", int (*)(int, const char *, int, const char *, int))(da, a, db, b, f);
}
int symlink(const char *a, const char *b) {
    if (lacks("links") && below(b)) FAIL(EPERM);
    return NEXT("symlink", int (*)(const char *, const char *))(a, b);
}
int utimensat(int d, const char *p, const struct timespec t[2], int f) {
    if (lacks("utime") && below(p)) FAIL(EPERM);
    return NEXT("utimensat", int (*)(int, const char *, const struct timespec *, int))(d, p, t, f);
}
int futimens(int fd, const struct timespec t[2]) {
    if (lacks("utime") && holds(fd)) FAIL(EPERM);
    return NEXT("futimens", int (*)(int, const struct timespec *))(fd, t);
}
