/* sendloop PORT: the least that a server which pushes can do, as a yardstick.
 *
 * Whoever sends an upgrade is a viewer; the body of a POST goes to all viewers as one text frame, one send each.
 * No durability, no limits, no deadlines, no slow readers, and only the key that the load generator sends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 1 << 17, REQUEST = 1 << 14 };

static const char upgrade[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
static const char created[] = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";

static int viewers[MOST], viewer_count;

static void send_to_all(const char *body, size_t size)
{
    static char frame[REQUEST + 4];
    size_t head = size < 126 ? 2 : 4;
    frame[0] = (char)0x81;
    frame[1] = (char)(size < 126 ? size : 126);
    if (head == 4) frame[2] = (char)(size >> 8), frame[3] = (char)size;
    memcpy(frame + head, body, size);
    for (int i = 0; i < viewer_count; i++) send(viewers[i], frame, head + size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void forget(int fd)
{
    for (int i = 0; i < viewer_count; i++)
        if (viewers[i] == fd) viewers[i--] = viewers[--viewer_count];
    close(fd);
}

static void answer(int fd)
{
    static char request[REQUEST + 1];
    ssize_t size = recv(fd, request, REQUEST, 0);
    if (size <= 0) { forget(fd); return; }
    request[size] = 0;
    if (!strncmp(request, "POST", 4)) {
        char *end = strstr(request, "\r\n\r\n");
        if (end) send_to_all(end + 4, request + size - (end + 4));
        send(fd, created, sizeof created - 1, MSG_NOSIGNAL);
    } else if (strcasestr(request, "upgrade: websocket") && viewer_count < MOST) {
        send(fd, upgrade, sizeof upgrade - 1, MSG_NOSIGNAL);
        viewers[viewer_count++] = fd;
    }
}

int main(int count, char **words)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), queue = epoll_create1(0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    address.sin_port = htons(count > 1 ? atoi(words[1]) : 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
        perror("sendloop");
        return 1;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[512];
    epoll_ctl(queue, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int happened = epoll_wait(queue, events, 512, -1);
        for (int i = 0; i < happened; i++) {
            if (events[i].data.fd != listener) { answer(events[i].data.fd); continue; }
            for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                event.data.fd = fd;
                epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
