/* load: many viewers of one feed in one process, and who publishes to them.
 *
 *   load MODE HOST:PORT PATH [option value]...
 *
 * Connects `clients` sockets, says so on standard output, waits for a line on standard input, does its work and
 * prints one line of JSON.  Whoever starts it reads the server's processor time before and after that.
 *
 *   MODE ws      WebSocket viewers, which answer pings without payload
 *   MODE sse     readers of an event stream (or of any endless answer)
 *   MODE poll    long-polls that carry a cursor found in the answer's body ("cursor":"...") in the path's {}
 *   MODE nchan   long-polls that carry Last-Modified and Etag of the last answer
 *   MODE get     one GET after the other on each connection, for `seconds`
 *
 *   clients N (100)     storm N (128): connections in the making at a time
 *   publish PATH        where items are POSTed to;  token T: Authorization: Bearer T
 *   port P              ... if not to the same port
 *   items N (100)       how many;  rate R: items a second, whatever the server does (0: see flight)
 *   flight N (1)        without a rate: items that are published and not yet with everybody
 *   pause MS (0)        ... how long to rest between them (with a flight of one)
 *   sync FILE           ... and in the middle of each rest write 4 KB to FILE and have the disk confirm it, which
 *                       tells what the disk alone takes
 *   body TEXT           what is posted; {id} becomes the item's number of 19 digits, which tells its time
 *   marker TEXT         what stands before that number in what viewers get, once per item ("id":")
 *   expect N            without publish: done when every client has had N items, their numbers rising
 *   herd 1              ... and nobody connects before the word is given
 *   seconds S (120)     give up, or for get: stop, after so long
 *
 * An item's number is the nanosecond of the monotonic clock at which it was published or, with a rate, was due:
 * a server that falls behind is charged for the wait.  Latency is from there to the read that returned it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum mode { WS, SSE, POLL, NCHAN, GET };
enum stage { CONNECTING, GREETING, READING, GONE };

struct client {
    int fd;
    enum stage stage;
    long items;          /* how many it has had */
    int64_t last;        /* the number of the newest of them */
    char *kept;          /* the start of something that the next read completes */
    size_t kept_size;
    char cursor[64];     /* of a poll: the cursor, or Last-Modified */
    char etag[32];
};

struct publisher {
    int fd;
    int busy;
};

enum { READ_SIZE = 1 << 20, HEAD_SIZE = 1 << 14, PUBLISHERS = 4, DIGITS = 19 };

static enum mode mode;
static struct sockaddr_in address, publish_address;
static const char *path, *publish_path, *token = "", *body = "{id}", *marker = "\"id\":\"", *host;
static long client_count = 100, storm = 128, item_count = 100, flight = 1, expect, herd;
static double rate, seconds = 120, pause_ms;
static int sync_fd = -1;

static int queue;
static struct client *clients;
static struct publisher publishers[PUBLISHERS];
static long ready, deliveries, answers, errors, published, acknowledged, complete;
static int64_t *due;               /* number of item i */
static long *holders;              /* how many clients have item i */
static uint32_t *latencies;        /* of every delivery, in microseconds */
static uint32_t *syncs;            /* of every confirmation of the disk, in microseconds */
static long latency_room, sync_count;
static char chunk[READ_SIZE + HEAD_SIZE + 1];

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "load: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

static void watch(int fd, uint32_t events, uint64_t who, int operation)
{
    struct epoll_event event = {.events = events, .data.u64 = who};
    if (epoll_ctl(queue, operation, fd, &event) < 0) die("epoll: %s", strerror(errno));
}

static int open_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) die("no more sockets (%s): raise ulimit -n", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    return fd;
}

/* Requests are small and the socket's buffer is empty when they go: a short write is a defect of this program. */
static void send_all(int fd, const char *data, size_t size)
{
    if (send(fd, data, size, MSG_NOSIGNAL) != (ssize_t)size) die("send: %s", strerror(errno));
}

/* ---- requests ---- */

static void ask(struct client *c)
{
    char head[2048], target[1024];
    const char *slot = strstr(path, "{}");
    if (mode == POLL && slot)
        snprintf(target, sizeof target, "%.*s%s%s", (int)(slot - path), path, c->cursor, slot + 2);
    else
        snprintf(target, sizeof target, "%s", path);
    int size = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: %s\r\n", target, host);
    if (mode == WS)
        size += snprintf(head + size, sizeof head - size,
                         "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    if (mode == SSE) size += snprintf(head + size, sizeof head - size, "Accept: text/event-stream\r\n");
    if (mode == NCHAN && c->cursor[0])
        size += snprintf(head + size, sizeof head - size, "If-Modified-Since: %s\r\nIf-None-Match: %s\r\n",
                         c->cursor, c->etag);
    size += snprintf(head + size, sizeof head - size, "\r\n");
    send_all(c->fd, head, size);
}

static void publish(struct publisher *p)
{
    char text[8192], request[10240], number[DIGITS + 2];
    int64_t at = rate > 0 ? due[published] : now_ns();
    due[published] = at;
    snprintf(number, sizeof number, "%019lld", (long long)at);
    const char *slot = strstr(body, "{id}");
    if (!slot) die("body has no {id}");
    int size = snprintf(text, sizeof text, "%.*s%s%s", (int)(slot - body), body, number, slot + 4);
    int whole = snprintf(request, sizeof request,
                         "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                         "Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
                         publish_path, host, token, size, text);
    p->busy = 1;
    published++;
    send_all(p->fd, request, whole);
}

/* ---- what comes back ---- */

static long number_of(int64_t at)      /* the item published at that nanosecond */
{
    long low = 0, high = published;
    while (low < high) {
        long middle = (low + high) / 2;
        if (due[middle] < at) low = middle + 1; else high = middle;
    }
    return low < published && due[low] == at ? low : -1;
}

/* Count the items in data; returns how many bytes at its end may be the beginning of one. */
static size_t count_items(struct client *c, const char *data, size_t size)
{
    size_t length = strlen(marker), whole = length + DIGITS;
    int64_t now = now_ns();
    const char *at = data, *end = data + size;
    while ((at = memmem(at, end - at, marker, length)) && (size_t)(end - at) >= whole) {
        char digits[DIGITS + 1];
        memcpy(digits, at + length, DIGITS);
        digits[DIGITS] = 0;
        char *stop;
        int64_t sent = strtoll(digits, &stop, 10);
        at += length;
        if (stop != digits + DIGITS) continue;
        at += DIGITS;
        c->items++;
        if (expect) {
            if (sent <= c->last && !errors++)
                fprintf(stderr, "load: %s came after %019lld\n", digits, (long long)c->last);
            c->last = sent;
            deliveries++;
            complete += c->items == expect;
            continue;
        }
        long number = number_of(sent);
        if (number < 0) continue;
        if (deliveries < latency_room) latencies[deliveries] = (now - sent) / 1000;
        deliveries++;
        if (++holders[number] == client_count) complete++;
    }
    if (at) return end - at;
    return size < whole ? size : whole - 1;
}

/* The size of a whole answer in data, 0 when there is more to come. */
static size_t answer_size(const char *data, size_t size, size_t *head_size)
{
    const char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    *head_size = end + 4 - data;
    const char *field = strcasestr(data, "content-length:");
    size_t length = field && field < end ? strtoul(field + 15, NULL, 10) : 0;
    return size >= *head_size + length ? *head_size + length : 0;
}

static void copy_field(const char *head, const char *name, char *to, size_t room)
{
    const char *from = strcasestr(head, name);
    if (!from) return;
    from += strlen(name);
    size_t length = strcspn(from, "\r\n");
    if (length < room) snprintf(to, room, "%.*s", (int)length, from);
}

static void take_answer(struct client *c, char *data, size_t size, size_t head)
{
    answers++;
    if (strncmp(data + 9, "200", 3) != 0 && strncmp(data + 9, "201", 3) != 0) {
        if (!errors++) fprintf(stderr, "load: %.*s\n", (int)strcspn(data, "\r\n"), data);
    }
    if (mode == NCHAN) {
        data[head - 1] = 0;
        copy_field(data, "last-modified: ", c->cursor, sizeof c->cursor);
        copy_field(data, "etag: ", c->etag, sizeof c->etag);
    } else if (mode == POLL) {
        char *from = memmem(data + head, size - head, "\"cursor\":\"", 10);
        if (from) {
            size_t length = strcspn(from + 10, "\"");
            if (length < sizeof c->cursor) snprintf(c->cursor, sizeof c->cursor, "%.*s", (int)length, from + 10);
        }
    }
    if (mode != GET) count_items(c, data + head, size - head);
    ask(c);
}

static void keep(struct client *c, const char *data, size_t size)
{
    c->kept = size ? realloc(c->kept, size) : (free(c->kept), NULL);
    if (size) memcpy(c->kept, data, size);
    c->kept_size = size;
}

static void greeted(struct client *c)
{
    c->stage = READING;
    ready++;
}

static void take(struct client *c, char *data, size_t size)
{
    data[size] = 0;
    if (mode == WS || mode == SSE) {
        if (c->stage == GREETING) {
            char *end = memmem(data, size, "\r\n\r\n", 4);
            if (!end) { keep(c, data, size); return; }
            const char *wanted = mode == WS ? "101" : "200";
            if (strncmp(data + 9, wanted, 3) != 0) die("refused: %.*s", (int)strcspn(data, "\r\n"), data);
            greeted(c);
            size -= end + 4 - data;
            data = end + 4;
        }
        /* As a browser does; neither these bytes nor any other zero are ever in JSON. */
        if (mode == WS && memmem(data, size, "\x89\0", 2)) send_all(c->fd, "\x8a\x80\0\0\0\0", 6);
        size_t rest = count_items(c, data, size);
        /* An item whose number was split is found again when the rest is there. */
        keep(c, data + size - rest, rest);
        return;
    }
    size_t head, whole;
    while (size && (whole = answer_size(data, size, &head))) {
        take_answer(c, data, whole, head);
        data += whole;
        size -= whole;
    }
    keep(c, data, size);
}

static void readable(struct client *c)
{
    if (c->kept_size == READ_SIZE) die("an answer of more than a megabyte");
    memcpy(chunk, c->kept, c->kept_size);
    /* No more than there is room for behind the half that came before. */
    ssize_t got = recv(c->fd, chunk + c->kept_size, READ_SIZE - c->kept_size, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        if (c->stage != READING) die("closed before it answered");
        errors++;
        c->stage = GONE;
        close(c->fd);
        return;
    }
    take(c, chunk, c->kept_size + got);
}

static void acknowledge(struct publisher *p)
{
    static char reply[65536];
    ssize_t got = recv(p->fd, reply, sizeof reply - 1, 0);
    if (got <= 0) die("the publisher was cut off");
    reply[got] = 0;
    if (reply[9] != '2') die("an item was refused: %.200s", reply);
    p->busy = 0;
    acknowledged++;
}

/* ---- the work ---- */

static void turn(int wait_ms)
{
    struct epoll_event events[512];
    int count = epoll_wait(queue, events, 512, wait_ms);
    for (int i = 0; i < count; i++) {
        uint64_t who = events[i].data.u64;
        if (who >= (uint64_t)client_count) { acknowledge(&publishers[who - client_count]); continue; }
        struct client *c = &clients[who];
        if (c->stage == CONNECTING) {
            int error = 0;
            socklen_t size = sizeof error;
            getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
            if (error) die("connect: %s", strerror(error));
            c->stage = GREETING;
            watch(c->fd, EPOLLIN, who, EPOLL_CTL_MOD);
            if (mode == WS || mode == SSE) ask(c); else greeted(c);
        } else if (c->stage != GONE)
            readable(c);
    }
}

static double connect_all(void)
{
    int64_t began = now_ns();
    for (long opened = 0; ready < client_count; turn(100)) {
        for (; opened < client_count && opened - ready < storm; opened++) {
            clients[opened].fd = open_socket();
            watch(clients[opened].fd, EPOLLOUT, opened, EPOLL_CTL_ADD);
        }
        if (now_ns() - began > seconds * 1e9) die("only %ld of %ld could connect", ready, client_count);
    }
    return (now_ns() - began) / 1e9;
}

static void connect_publishers(void)
{
    for (int i = 0; i < PUBLISHERS; i++) {
        int flags, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
        if (connect(fd, (struct sockaddr *)&publish_address, sizeof publish_address) < 0)
            die("publisher: %s", strerror(errno));
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        flags = fcntl(fd, F_GETFL);
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        publishers[i].fd = fd;
        watch(fd, EPOLLIN, client_count + i, EPOLL_CTL_ADD);
    }
}

static struct publisher *idle_publisher(void)
{
    for (int i = 0; i < PUBLISHERS; i++)
        if (!publishers[i].busy) return &publishers[i];
    return NULL;
}

/* One page at the end of what was written before, as a database logs a commit; the file begins anew at 4 MB. */
static void sync_disk(void)
{
    static char page[4096];
    int64_t began = now_ns();
    if (pwrite(sync_fd, page, sizeof page, sync_count % 1024 * sizeof page) != sizeof page || fdatasync(sync_fd) < 0)
        die("sync: %s", strerror(errno));
    syncs[sync_count++] = (now_ns() - began) / 1000;
}

/* Everybody has everything: how many milliseconds are left until the next item. */
static int rest(void)
{
    static int64_t began;
    static int synced;
    if (pause_ms <= 0) return 0;
    if (!began) began = now_ns(), synced = sync_fd < 0;
    double left = pause_ms - (now_ns() - began) / 1e6;
    if (!synced && left <= pause_ms / 2) {
        sync_disk();
        synced = 1;
        left = pause_ms - (now_ns() - began) / 1e6;
    }
    if (left <= 0) began = 0;
    else if (!synced) left -= pause_ms / 2;
    return left <= 0 ? 0 : left < 1 ? 1 : (int)left;
}

/* Publish what is due; how long nothing will be, in milliseconds. */
static int publish_due(void)
{
    struct publisher *p;
    while (published < item_count && (p = idle_publisher())) {
        if (rate > 0) {
            int64_t left = due[published] - now_ns();
            if (left > 0) return left / 1000000;      /* the last part of a millisecond is spun */
        } else {
            if (published - complete >= flight) break;
            int left = rest();
            if (left > 0) return left;
        }
        publish(p);
    }
    return 20;
}

static void work(void)
{
    int64_t began = now_ns(), limit = began + (int64_t)(seconds * 1e9);
    if (mode == GET)
        for (long i = 0; i < client_count; i++) ask(&clients[i]);
    for (long i = 0; rate > 0 && i < item_count; i++) due[i] = began + (int64_t)((i + 1) * 1e9 / rate);
    while (now_ns() < limit) {
        if (expect && complete == client_count) break;
        if (publish_path && complete == item_count) break;
        turn(publish_path ? publish_due() : 20);
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Of sorted microseconds, the milliseconds that share of them do not exceed. */
static double quantile_ms(const uint32_t *times, long count, double share)
{
    return count ? times[(long)(share * (count - 1))] / 1000.0 : 0;
}

static int open_file(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) die("%s: %s", name, strerror(errno));
    return fd;
}

static void read_options(int count, char **words)
{
    for (int i = 0; i + 1 < count; i += 2) {
        const char *name = words[i], *value = words[i + 1];
        if (!strcmp(name, "clients")) client_count = atol(value);
        else if (!strcmp(name, "storm")) storm = atol(value);
        else if (!strcmp(name, "publish")) publish_path = value;
        else if (!strcmp(name, "port")) publish_address.sin_port = htons(atoi(value));
        else if (!strcmp(name, "token")) token = value;
        else if (!strcmp(name, "items")) item_count = atol(value);
        else if (!strcmp(name, "rate")) rate = atof(value);
        else if (!strcmp(name, "flight")) flight = atol(value);
        else if (!strcmp(name, "body")) body = value;
        else if (!strcmp(name, "marker")) marker = value;
        else if (!strcmp(name, "pause")) pause_ms = atof(value);
        else if (!strcmp(name, "sync")) sync_fd = open_file(value);
        else if (!strcmp(name, "expect")) expect = atol(value);
        else if (!strcmp(name, "herd")) herd = atol(value);
        else if (!strcmp(name, "seconds")) seconds = atof(value);
        else die("unknown option %s", name);
    }
    if (count % 2) die("an option without its value: %s", words[count - 1]);
}

int main(int count, char **words)
{
    static const char *const modes[] = {"ws", "sse", "poll", "nchan", "get"};
    if (count < 4) die("load MODE HOST:PORT PATH [option value]...; the source says more");
    mode = WS;
    while (mode <= GET && strcmp(words[1], modes[mode])) mode++;
    if (mode > GET) die("unknown mode %s", words[1]);
    host = words[2];
    char *colon = strchr(words[2], ':'), ip[64];
    if (!colon) die("HOST:PORT, please");
    snprintf(ip, sizeof ip, "%.*s", (int)(colon - words[2]), words[2]);
    address.sin_family = AF_INET;
    address.sin_port = htons(atoi(colon + 1));
    if (!inet_aton(ip, &address.sin_addr)) die("HOST is an address");
    path = words[3];
    publish_address = address;
    read_options(count - 4, words + 4);

    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if ((long)files.rlim_cur < client_count + 64) die("ulimit -n is %ld", (long)files.rlim_cur);

    queue = epoll_create1(EPOLL_CLOEXEC);
    clients = calloc(client_count, sizeof *clients);
    due = calloc(item_count + 1, sizeof *due);
    holders = calloc(item_count + 1, sizeof *holders);
    latency_room = publish_path ? client_count * item_count : 1;
    latencies = malloc(latency_room * sizeof *latencies);
    syncs = calloc(item_count + 1, sizeof *syncs);
    for (long i = 0; i < client_count; i++) {
        clients[i].last = -1;
        strcpy(clients[i].cursor, mode == POLL ? "0" : "");
    }

    double connecting = herd ? 0 : connect_all();
    if (publish_path) connect_publishers();
    if (mode == POLL || mode == NCHAN) {
        /* Everybody takes what is there already and waits from then on. */
        for (long i = 0; i < client_count; i++) ask(&clients[i]);
        for (int64_t until = now_ns() + 1000000000LL; now_ns() < until;) turn(20);
    }
    deliveries = answers = 0;
    printf("ready\n");
    fflush(stdout);
    char line[16];
    if (!fgets(line, sizeof line, stdin)) die("nobody said go");

    int64_t began = now_ns();
    if (herd) connecting = connect_all();
    work();
    int64_t ended = now_ns();
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    long timed = deliveries < latency_room ? deliveries : latency_room;
    qsort(latencies, timed, sizeof *latencies, by_size);
    qsort(syncs, sync_count, sizeof *syncs, by_size);
    printf("{\"clients\":%ld,\"connect_s\":%.4f,\"items\":%ld,\"complete\":%ld,\"deliveries\":%ld,\"answers\":%ld,"
           "\"errors\":%ld,\"seconds\":%.4f,\"ended_ns\":%lld,",
           client_count, connecting, published, complete, deliveries, answers, errors, (ended - began) / 1e9,
           (long long)ended);
    printf("\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"sync_p50_ms\":%.3f,\"sync_p99_ms\":%.3f,",
           quantile_ms(latencies, timed, 0.5), quantile_ms(latencies, timed, 0.99), quantile_ms(latencies, timed, 1),
           quantile_ms(syncs, sync_count, 0.5), quantile_ms(syncs, sync_count, 0.99));
    printf("\"own_cpu_s\":%.3f}\n",
           usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    fflush(stdout);
    /* Whoever reads the server's memory does it while all are connected. */
    if (fgets(line, sizeof line, stdin)) return 0;
    return 0;
}
