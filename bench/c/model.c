/* A model server for the benchmark of batching: it answers each call with one prediction per instance, at the least
 * possible cost. It has one thread, keeps every connection open, and knows only the bodies that load.c sends.
 *
 *   model PORT
 *
 * POST               a V1 predict request, counted but not parsed -> {"predictions":[1,1,1]}
 * GET /v1/models/M   200, so that model M is ready with V1
 * GET /calls         the number of POST requests so far
 * others             404
 *
 * Runs until SIGTERM. Exit codes: 64: bad arguments; 69: the port is in use.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define INSTANCES_MAX 100000

typedef struct connection {
  int socket;
  char *bytes; /* received, but not answered yet; a NUL byte follows */
  size_t length, capacity;
} connection;

static unsigned long calls;

/* The body is {"instances":[[...],[...]]}: one bracket opens the list, and one each instance. */
static int count_instances(const char *body, size_t length) {
  int brackets = 0;
  for (size_t at = 0; at < length; at++) brackets += body[at] == '[';
  return brackets - 1;
}

static int send_answer(int socket, const char *status, const char *body, size_t length) {
  static char answer[2 * INSTANCES_MAX + 256];
  int head = sprintf(answer, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", status,
                     length);
  memcpy(answer + head, body, length);
  size_t total = (size_t)head + length;
  return send(socket, answer, total, MSG_NOSIGNAL) == (ssize_t)total ? 0 : -1;
}

static int send_text(int socket, const char *status, const char *body) {
  return send_answer(socket, status, body, strlen(body));
}

static int send_predictions(int socket, int instances) {
  static char body[2 * INSTANCES_MAX + 32];
  if (instances < 1 || instances > INSTANCES_MAX) return send_text(socket, "400 Bad Request", "{}");
  char *end = stpcpy(body, "{\"predictions\":[");
  for (int instance = 0; instance < instances; instance++) {
    *end++ = '1';
    *end++ = ',';
  }
  memcpy(end - 1, "]}", 2); /* overwrites the last comma */
  return send_answer(socket, "200 OK", body, (size_t)(end + 1 - body));
}

static int answer_request(int socket, const char *head, const char *body, size_t length) {
  if (strncmp(head, "POST ", 5) == 0) {
    calls++;
    return send_predictions(socket, count_instances(body, length));
  }
  if (strncmp(head, "GET /v1/models/", 15) == 0) return send_text(socket, "200 OK", "{\"ready\":true}");
  if (strncmp(head, "GET /calls ", 11) == 0) {
    char count[32];
    sprintf(count, "%lu", calls);
    return send_text(socket, "200 OK", count);
  }
  return send_text(socket, "404 Not Found", "{}");
}

/* Answers all complete requests. Returns -1 if the connection must be closed. */
static int answer_requests(connection *c) {
  size_t done = 0;
  for (;;) {
    char *head = c->bytes + done;
    char *end = strstr(head, "\r\n\r\n");
    if (end == NULL) break;
    *end = 0; /* ends the search for a header at the end of the head */
    char *field = strcasestr(head, "\r\nContent-Length:");
    size_t length = field == NULL ? 0 : strtoul(field + 17, NULL, 10);
    *end = '\r';
    char *body = end + 4;
    if ((size_t)(c->bytes + c->length - body) < length) break;
    if (answer_request(c->socket, head, body, length)) return -1;
    done = (size_t)(body + length - c->bytes);
  }
  if (done == 0) return 0;
  c->length -= done;
  memmove(c->bytes, c->bytes + done, c->length + 1);
  return 0;
}

/* Reads what has arrived. Returns -1 if the connection must be closed. */
static int on_readable(connection *c) {
  if (c->capacity - c->length < 65536) {
    c->capacity = (c->length + 65536) * 2;
    c->bytes = realloc(c->bytes, c->capacity + 1);
    if (c->bytes == NULL) abort();
  }
  ssize_t count = recv(c->socket, c->bytes + c->length, c->capacity - c->length, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (count <= 0) return -1;
  c->length += (size_t)count;
  c->bytes[c->length] = 0;
  return answer_requests(c);
}

static void watch(int poll, int socket, connection *c) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event)) abort();
}

static void on_connection(int poll, int listener) {
  int on = 1, socket = accept(listener, NULL, NULL);
  if (socket < 0) return;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  connection *c = calloc(1, sizeof *c);
  if (c == NULL) abort();
  c->socket = socket;
  watch(poll, socket, c);
}

static void close_connection(connection *c) {
  close(c->socket);
  free(c->bytes);
  free(c);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: model PORT\n");
    return 64;
  }
  int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)atoi(argv[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) {
    fprintf(stderr, "model: port %s: %s\n", argv[1], strerror(errno));
    return 69;
  }
  watch(poll, listener, NULL);

  struct epoll_event events[64];
  for (;;) {
    int count = epoll_wait(poll, events, 64, -1);
    for (int at = 0; at < count; at++) {
      connection *c = events[at].data.ptr;
      if (c == NULL) on_connection(poll, listener);
      else if (on_readable(c)) close_connection(c);
    }
  }
}
