/* The floor; the header tells the shape. */
#define _GNU_SOURCE
#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "cell.h"

#define FOLLOWERS 2
#define BLOCK 4096U
#define FILE_BYTES (256U << 20)
#define BATCH_BYTES_MAX (8U << 20)

struct frame_header {
    uint32_t length; /* header included */
    uint32_t crc;    /* of all that follows */
    uint64_t last;   /* number of the last proposal in it */
};

/* As long as what tenure puts before a value: an envelope of 40 bytes, and its place in a record.
 */
struct item_header {
    uint64_t number;
    uint32_t bytes;
    uint32_t crc; /* of the value */
    uint8_t rest[48];
};

/* What the three processes share: the followers' ports, and what each has used. */
struct page {
    _Atomic uint32_t ports[FOLLOWERS];
    _Atomic uint64_t cpu_ns[FOLLOWERS + 1];
    _Atomic uint32_t measure; /* 1: the measured time began */
    _Atomic uint32_t finish;
    struct load_result result;
};

struct file {
    int fd;
    uint32_t direct;
    uint64_t offset;
};

static void die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void *aligned(size_t bytes)
{
    void *block = NULL;
    if (posix_memalign(&block, BLOCK, bytes) != 0) {
        die("memory");
    }
    memset(block, 0, bytes);
    return block;
}

static void file_open(struct file *file, const char *dir, const char *name, uint32_t direct)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    uint8_t *zeros = aligned(1U << 20);
    for (uint64_t at = 0; fd >= 0 && at < FILE_BYTES; at += 1U << 20) {
        if (pwrite(fd, zeros, 1U << 20, (off_t)at) != (ssize_t)(1U << 20)) {
            die("preallocate");
        }
    }
    if (fd < 0 || fsync(fd) != 0) {
        die(path);
    }
    close(fd);
    free(zeros);
    *file = (struct file){.direct = direct};
    file->fd = open(path, O_RDWR | O_CLOEXEC | (direct ? O_DIRECT | O_DSYNC : 0));
    if (file->fd < 0) {
        die(path);
    }
}

/* Write `length` bytes of an aligned buffer, padded to blocks, and make them durable. */
static void file_append(struct file *file, uint8_t *bytes, size_t length)
{
    size_t padded = (length + BLOCK - 1) / BLOCK * BLOCK;
    memset(bytes + length, 0, padded - length);
    if (file->offset + padded > FILE_BYTES) {
        file->offset = 0;
    }
    if (pwrite(file->fd, bytes, padded, (off_t)file->offset) != (ssize_t)padded ||
        (!file->direct && fdatasync(file->fd) != 0)) {
        die("append");
    }
    file->offset += padded;
}

static uint64_t cpu_ns(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * TN_SECOND +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000U;
}

/* ---- A follower ------------------------------------------------------------------------------ */

static int follower_accept(struct page *page, uint32_t index)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    int one = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        die("listen");
    }
    atomic_store(&page->ports[index], ntohs(address.sin_port));
    int fd = accept(listener, NULL, NULL);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0) {
        die("accept");
    }
    close(listener);
    return fd;
}

/* Whole frames at the beginning of `bytes`, checked; returns their length and the last number. */
static size_t frames_in(const uint8_t *bytes, size_t length, uint64_t *last)
{
    size_t at = 0;
    struct frame_header header;
    while (length - at >= sizeof(header)) {
        memcpy(&header, bytes + at, sizeof(header));
        if (header.length > length - at) {
            break;
        }
        if (tn__crc32c(0, bytes + at + 8, header.length - 8) != header.crc) {
            die("checksum");
        }
        *last = header.last;
        at += header.length;
    }
    return at;
}

static void follower_run(const struct floor_setting *setting, struct page *page, uint32_t index)
{
    char name[16];
    struct file file;
    snprintf(name, sizeof(name), "follower%u", index);
    file_open(&file, setting->dir, name, setting->direct);
    int fd = follower_accept(page, index);
    uint8_t *bytes = aligned(2 * BATCH_BYTES_MAX);
    uint8_t *block = aligned(2 * BATCH_BYTES_MAX);
    size_t length = 0;
    uint64_t base = 0;
    uint32_t measuring = 0;
    for (;;) {
        ssize_t got = recv(fd, bytes + length, 2 * BATCH_BYTES_MAX - length, 0);
        if (got <= 0) {
            break;
        }
        if (!measuring && atomic_load(&page->measure)) {
            measuring = 1;
            base = cpu_ns();
        }
        length += (size_t)got;
        uint64_t last = 0;
        size_t whole = frames_in(bytes, length, &last);
        if (whole == 0) {
            continue;
        }
        memcpy(block, bytes, whole);
        file_append(&file, block, whole);
        memmove(bytes, bytes + whole, length - whole);
        length -= whole;
        if (send(fd, &last, sizeof(last), MSG_NOSIGNAL) != sizeof(last)) {
            break;
        }
        if (measuring) {
            atomic_store(&page->cpu_ns[index], cpu_ns() - base);
        }
    }
    _exit(0);
}

/* ---- The leader ------------------------------------------------------------------------------ */

struct waiting {
    struct load_place *place;
    uint64_t number;
};

struct leader {
    pthread_mutex_t mutex;
    uint8_t *gathering; /* items handed in and not sent yet, under the mutex */
    size_t gathering_bytes;
    uint64_t gathered; /* number of the last one */
    bool wake_sent;
    int wake;
    uint8_t *sending;
    struct file file;
    int fds[FOLLOWERS];
    uint64_t durable[FOLLOWERS + 1];
    uint64_t answered;
    struct load_place *places[LOAD_IN_FLIGHT_MAX]; /* by number */
    _Atomic bool stop;
};

static bool leader_propose(void *context, const void *bytes, uint32_t count,
                           struct load_place *place)
{
    struct leader *leader = context;
    uint64_t one = 1;
    struct item_header item = {.bytes = count, .crc = tn__crc32c(0, bytes, count)};
    pthread_mutex_lock(&leader->mutex);
    item.number = leader->gathered + 1;
    uint8_t *to = leader->gathering + sizeof(struct frame_header) + leader->gathering_bytes;
    memcpy(to, &item, sizeof(item));
    memcpy(to + sizeof(item), bytes, count);
    leader->gathering_bytes += sizeof(item) + count;
    leader->gathered += 1;
    leader->places[leader->gathered % LOAD_IN_FLIGHT_MAX] = place;
    bool wake = !leader->wake_sent;
    leader->wake_sent = true;
    pthread_mutex_unlock(&leader->mutex);
    if (wake && write(leader->wake, &one, sizeof(one)) != sizeof(one)) {
        die("wake");
    }
    return true;
}

static void leader_connect(struct leader *leader, struct page *page)
{
    for (uint32_t i = 0; i < FOLLOWERS; i++) {
        int one = 1;
        for (uint32_t tries = 0; atomic_load(&page->ports[i]) == 0; tries++) {
            if (tries > 30000) {
                die("a follower does not listen");
            }
            cell_sleep_ms(1);
        }
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)page->ports[i]),
                                      .sin_addr = {htonl(INADDR_LOOPBACK)}};
        leader->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(leader->fds[i], (struct sockaddr *)&address, sizeof(address)) != 0 ||
            setsockopt(leader->fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0) {
            die("connect");
        }
    }
}

static void send_all(int fd, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0) {
            die("send");
        }
        bytes += sent;
        length -= (size_t)sent;
    }
}

/* Take all that waits, send it, write it, sync it. */
static void leader_turn(struct leader *leader)
{
    uint64_t word;
    if (read(leader->wake, &word, sizeof(word)) != sizeof(word)) {
        return;
    }
    pthread_mutex_lock(&leader->mutex);
    uint8_t *bytes = leader->gathering;
    size_t length = leader->gathering_bytes;
    uint64_t last = leader->gathered;
    leader->gathering = leader->sending;
    leader->sending = bytes;
    leader->gathering_bytes = 0;
    leader->wake_sent = false;
    pthread_mutex_unlock(&leader->mutex);
    if (length == 0) {
        return;
    }
    struct frame_header header = {.length = (uint32_t)(sizeof(header) + length), .last = last};
    memcpy(bytes, &header, sizeof(header));
    header.crc = tn__crc32c(0, bytes + 8, header.length - 8);
    memcpy(bytes, &header, sizeof(header));
    for (uint32_t i = 0; i < FOLLOWERS; i++) {
        send_all(leader->fds[i], bytes, header.length);
    }
    file_append(&leader->file, bytes, header.length);
    leader->durable[FOLLOWERS] = last;
}

/* Answer what a majority of the three has. */
static void leader_answer(struct leader *leader)
{
    uint64_t a = leader->durable[0], b = leader->durable[1], c = leader->durable[2];
    uint64_t low = a < b ? a : b, high = a < b ? b : a;
    uint64_t middle = c < low ? low : (c > high ? high : c);
    while (leader->answered < middle) {
        leader->answered += 1;
        load_answer(leader->places[leader->answered % LOAD_IN_FLIGHT_MAX]);
    }
}

static void *leader_loop(void *argument)
{
    struct leader *leader = argument;
    struct pollfd polled[FOLLOWERS + 1] = {
        {leader->fds[0], POLLIN, 0}, {leader->fds[1], POLLIN, 0}, {leader->wake, POLLIN, 0}};
    while (!atomic_load(&leader->stop)) {
        if (poll(polled, FOLLOWERS + 1, 100) < 0) {
            die("poll");
        }
        if (polled[FOLLOWERS].revents != 0) {
            leader_turn(leader);
        }
        for (uint32_t i = 0; i < FOLLOWERS; i++) {
            uint64_t acknowledged[512];
            if (polled[i].revents == 0) {
                continue;
            }
            ssize_t got = recv(leader->fds[i], acknowledged, sizeof(acknowledged), MSG_DONTWAIT);
            if (got >= 8 && got % 8 == 0) {
                leader->durable[i] = acknowledged[got / 8 - 1];
            }
        }
        leader_answer(leader);
    }
    return NULL;
}

static void leader_run(const struct floor_setting *setting, struct page *page)
{
    struct leader *leader = calloc(1, sizeof(*leader));
    struct load *load = calloc(1, sizeof(*load));
    pthread_t thread;
    if (leader == NULL || load == NULL) {
        die("memory");
    }
    pthread_mutex_init(&leader->mutex, NULL);
    leader->gathering = aligned(2 * BATCH_BYTES_MAX);
    leader->sending = aligned(2 * BATCH_BYTES_MAX);
    leader->wake = eventfd(0, EFD_CLOEXEC);
    file_open(&leader->file, setting->dir, "leader", setting->direct);
    leader_connect(leader, page);
    if (pthread_create(&thread, NULL, leader_loop, leader) != 0) {
        die("thread");
    }
    *load = (struct load){.in_flight = setting->in_flight,
                          .value_bytes = setting->value_bytes,
                          .warm_up_ns = TN_SECOND / 5,
                          .run_ns = (uint64_t)(setting->seconds * 1e9),
                          .propose = leader_propose,
                          .context = leader};
    atomic_store(&page->measure, 1);
    uint64_t base = cpu_ns();
    load_run(load, &page->result);
    atomic_store(&page->cpu_ns[FOLLOWERS], cpu_ns() - base);
    atomic_store(&leader->stop, true);
    pthread_join(thread, NULL);
    _exit(0);
}

void floor_run(const struct floor_setting *setting, struct floor_result *result)
{
    struct page *page =
        mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[FOLLOWERS + 1];
    if (page == MAP_FAILED) {
        die("page");
    }
    fflush(NULL);
    for (uint32_t i = 0; i <= FOLLOWERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (i < FOLLOWERS) {
                follower_run(setting, page, i);
            }
            leader_run(setting, page);
        }
        if (pids[i] < 0) {
            die("fork");
        }
    }
    int status = 0;
    waitpid(pids[FOLLOWERS], &status, 0);
    for (uint32_t i = 0; i < FOLLOWERS; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    if (status != 0) {
        fprintf(stderr, "floor: the leader failed\n");
        exit(1);
    }
    uint64_t cpu = 0;
    for (uint32_t i = 0; i <= FOLLOWERS; i++) {
        cpu += atomic_load(&page->cpu_ns[i]);
    }
    result->load = page->result;
    /* The processes count from their first byte, so warm-up is in both: scaled by the whole. */
    double all = page->result.rate * (setting->seconds + 0.2);
    result->cpu_us = all > 0 ? (double)cpu / 1e3 / all : 0;
    munmap(page, sizeof(*page));
}
