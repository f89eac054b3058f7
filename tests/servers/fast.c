/* Serves JPEGs over HTTP/1.1 faster than any client asks: GET /N gives picture N % count of a folder, with
 * a comment that holds N, so that no two are the same. One epoll thread; prints its port.
 *
 *     fast FOLDER COUNT        FOLDER/0.jpg ... FOLDER/(COUNT-1).jpg
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

typedef struct { char *data; size_t size; } Blob;
typedef struct { int fd; char in[4096]; size_t have; char head[256]; size_t head_size; Blob *body; size_t sent; } Client;

static Blob *blobs;
static int count;

static Blob load(const char *path) {
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st)) { perror(path); exit(2); }
    Blob blob = {malloc(st.st_size), st.st_size};
    for (size_t at = 0; at < blob.size;) {
        ssize_t got = read(fd, blob.data + at, blob.size - at);
        if (got <= 0) { perror(path); exit(2); }
        at += got;
    }
    close(fd);
    return blob;
}

static void answer(Client *c) {
    char *slash = strchr(c->in, '/');
    unsigned n = slash ? (unsigned)atoi(slash + 1) : 0;
    c->body = &blobs[n % count];
    /* The picture's first two bytes (SOI) are sent with the head, followed by a comment segment. */
    c->head_size = snprintf(c->head, sizeof c->head,
                            "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %zu\r\n\r\n"
                            "\xff\xd8\xff\xfe%c%c%08u", c->body->size + 12, 0, 10, n);
    c->sent = 0;
    c->have = 0;
}

/* Returns 0 when all is sent, 1 when the socket is full, -1 when it is gone. */
static int push(Client *c) {
    size_t total = c->head_size + c->body->size - 2;
    while (c->sent < total) {
        struct iovec parts[2];
        int used = 0;
        if (c->sent < c->head_size) parts[used++] = (struct iovec){c->head + c->sent, c->head_size - c->sent};
        size_t at = c->sent < c->head_size ? 0 : c->sent - c->head_size;
        parts[used++] = (struct iovec){c->body->data + 2 + at, c->body->size - 2 - at};
        ssize_t wrote = writev(c->fd, parts, used);
        if (wrote < 0) return errno == EAGAIN ? 1 : -1;
        c->sent += wrote;
    }
    c->body = NULL;
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 3) return 1;
    count = atoi(argv[2]);
    blobs = malloc(sizeof(Blob) * count);
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%d.jpg", argv[1], i);
        blobs[i] = load(path);
    }
    int one = 1, server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (bind(server, (struct sockaddr *)&address, length) || listen(server, 512)) return 3;
    getsockname(server, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, events[64];
    epoll_ctl(poll, EPOLL_CTL_ADD, server, &event);
    for (;;) {
        int ready = epoll_wait(poll, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            Client *c = events[i].data.ptr;
            if (!c) {
                int fd = accept4(server, NULL, NULL, SOCK_NONBLOCK);
                if (fd < 0) continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                c = calloc(1, sizeof *c);
                c->fd = fd;
                event = (struct epoll_event){.events = EPOLLIN, .data.ptr = c};
                epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
                continue;
            }
            int state = 0;
            if (!c->body) {
                ssize_t got = read(c->fd, c->in + c->have, sizeof c->in - 1 - c->have);
                if (got == 0 || (got < 0 && errno != EAGAIN)) state = -1;
                if (got > 0) {
                    c->have += got;
                    c->in[c->have] = 0;
                    if (strstr(c->in, "\r\n\r\n")) answer(c);
                    else if (c->have == sizeof c->in - 1) state = -1;
                }
            }
            if (c->body && !state) state = push(c);
            if (state < 0) {
                close(c->fd);
                free(c);
                continue;
            }
            event = (struct epoll_event){.events = state ? EPOLLOUT : EPOLLIN, .data.ptr = c};
            epoll_ctl(poll, EPOLL_CTL_MOD, c->fd, &event);
        }
    }
}
