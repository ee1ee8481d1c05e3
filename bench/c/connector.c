/* The yardstick: a minimal MQTT 5 -> HTTP -> MQTT 5 connector, with libmosquitto and libcurl's multi interface. It has
 * one thread and one poll loop, but no routing, limits, error handling or deadlines. It acknowledges requests on
 * arrival, so that a crash loses them.
 *
 *   connector HOST PORT URL QOS [CONNECTIONS]
 *
 * URL          URL of the model server, without a path
 * CONNECTIONS  number of connections to the model server (default 64); further requests wait in libcurl
 *
 * Runs until SIGTERM. Exit codes: 0; 64: bad arguments; 69: no broker.
 */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One request in flight. This struct and its easy handle are reused for later requests. */
typedef struct call {
  CURL *easy;
  char *response_topic;
  void *correlation;
  uint16_t correlation_length;
  char *request; /* the body that is sent to the model */
  char *answer;  /* the body of the answer; the buffer grows as needed and is reused */
  size_t answer_length, answer_capacity;
  struct call *next_free;
} call;

static struct mosquitto *mq;
static CURLM *multi;
static struct curl_slist *headers;
static const char *base_url;
static int qos;
static call *free_calls;
static volatile sig_atomic_t is_stopping;

static size_t on_answer_bytes(char *bytes, size_t size, size_t count, void *user) {
  call *c = user;
  size_t more = size * count;
  if (c->answer_length + more > c->answer_capacity) {
    c->answer_capacity = (c->answer_length + more) * 2;
    c->answer = realloc(c->answer, c->answer_capacity);
    if (c->answer == NULL) abort();
  }
  memcpy(c->answer + c->answer_length, bytes, more);
  c->answer_length += more;
  return more;
}

static call *take_call(void) {
  call *c = free_calls;
  if (c != NULL) {
    free_calls = c->next_free;
    return c;
  }
  c = calloc(1, sizeof *c);
  if (c == NULL) abort();
  c->easy = curl_easy_init();
  curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_answer_bytes);
  curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
  curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
  curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
  return c;
}

/* infer/request/{client}/{model}/{operation} -> URL/v1/models/{model}:predict */
static void write_url(char *url, size_t size, const char *topic) {
  char levels[256];
  snprintf(levels, sizeof levels, "%s", topic);
  char *operation = strrchr(levels, '/');
  if (operation != NULL) *operation = 0;
  char *model = strrchr(levels, '/');
  snprintf(url, size, "%s/v1/models/%s:predict", base_url, model != NULL ? model + 1 : levels);
}

static void on_message(struct mosquitto *m, void *user, const struct mosquitto_message *message,
                       const mosquitto_property *properties) {
  (void)m, (void)user;
  call *c = take_call();
  c->answer_length = 0;
  c->response_topic = NULL;
  c->correlation = NULL;
  c->correlation_length = 0;
  mosquitto_property_read_string(properties, MQTT_PROP_RESPONSE_TOPIC, &c->response_topic, false);
  mosquitto_property_read_binary(properties, MQTT_PROP_CORRELATION_DATA, &c->correlation,
                                 &c->correlation_length, false);

  /* libmosquitto frees the payload when this function returns, and libcurl does not copy it. */
  size_t length = (size_t)message->payloadlen;
  c->request = malloc(length ? length : 1);
  if (c->request == NULL) abort();
  memcpy(c->request, message->payload, length);

  char url[512];
  write_url(url, sizeof url, message->topic);
  curl_easy_setopt(c->easy, CURLOPT_URL, url);
  curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->request);
  curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE, (long)length);
  curl_multi_add_handle(multi, c->easy);
}

static void publish_answer(call *c) {
  mosquitto_property *properties = NULL;
  if (c->correlation != NULL)
    mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA, c->correlation,
                                  c->correlation_length);
  if (c->response_topic != NULL)
    mosquitto_publish_v5(mq, NULL, c->response_topic, (int)c->answer_length, c->answer, qos, false, properties);
  mosquitto_property_free_all(&properties);
}

static void finish_calls(void) {
  CURLMsg *done;
  int left;
  while ((done = curl_multi_info_read(multi, &left)) != NULL) {
    if (done->msg != CURLMSG_DONE) continue;
    call *c;
    curl_easy_getinfo(done->easy_handle, CURLINFO_PRIVATE, (char **)&c);
    publish_answer(c);
    free(c->response_topic);
    free(c->correlation);
    free(c->request);
    curl_multi_remove_handle(multi, c->easy);
    c->next_free = free_calls;
    free_calls = c;
  }
}

static void on_connect(struct mosquitto *m, void *user, int code, int flags,
                       const mosquitto_property *properties) {
  (void)user, (void)code, (void)flags, (void)properties;
  mosquitto_subscribe_v5(m, NULL, "infer/request/#", qos, 0, NULL);
}

static void on_signal(int number) {
  (void)number;
  is_stopping = 1;
}

int main(int argc, char **argv) {
  if (argc < 5) {
    fprintf(stderr, "usage: connector HOST PORT URL QOS [CONNECTIONS]\n");
    return 64;
  }
  base_url = argv[3];
  qos = atoi(argv[4]);
  signal(SIGTERM, on_signal);
  signal(SIGINT, on_signal);

  mosquitto_lib_init();
  curl_global_init(CURL_GLOBAL_ALL);
  multi = curl_multi_init();
  curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, argc > 5 ? atol(argv[5]) : 64L);
  headers = curl_slist_append(NULL, "Content-Type: application/json");
  headers = curl_slist_append(headers, "Expect:"); /* no 100-continue round trip for large bodies */

  mq = mosquitto_new("yardstick", true, NULL);
  mosquitto_int_option(mq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
  mosquitto_int_option(mq, MOSQ_OPT_RECEIVE_MAXIMUM, 1024);
  mosquitto_int_option(mq, MOSQ_OPT_TCP_NODELAY, 1);
  mosquitto_connect_v5_callback_set(mq, on_connect);
  mosquitto_message_v5_callback_set(mq, on_message);
  if (mosquitto_connect_bind_v5(mq, argv[1], atoi(argv[2]), 60, NULL, NULL)) {
    fprintf(stderr, "connector: no broker at %s:%s\n", argv[1], argv[2]);
    return 69;
  }

  while (!is_stopping) {
    short events = CURL_WAIT_POLLIN | (mosquitto_want_write(mq) ? CURL_WAIT_POLLOUT : 0);
    struct curl_waitfd broker = {mosquitto_socket(mq), events, 0};
    int ready, running;
    curl_multi_poll(multi, &broker, 1, 1000, &ready);
    if (mosquitto_loop_read(mq, 64)) break;
    curl_multi_perform(multi, &running);
    finish_calls();
    mosquitto_loop_write(mq, 64);
    mosquitto_loop_misc(mq);
  }
  return 0;
}
