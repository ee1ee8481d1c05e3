/* Closed-loop load: INFLIGHT requests are in flight on one MQTT 5 connection; the next request is sent when an answer
 * arrives. Prints one JSON line.
 *
 *   load HOST PORT QOS INFLIGHT SECONDS SIZE [LANE [WARM [MODEL]]]
 *
 * SECONDS  measured time, after WARM seconds (default 1) of warm-up
 * SIZE     size of a request's body in bytes: a V1 predict request, padded with spaces
 * LANE     5 (default): Response Topic and Correlation Data, as in MQTT 5
 *          3: the request id is in the topic, without properties, as with an MQTT 3.1.1 client
 * MODEL    name of the model (default iris)
 *
 * rps, p50_ms, p99_ms, n   answers within the measured time
 * total                    all answers, including those of the warm-up: the divisor for CPU times
 * bad                      answers that are not predictions, or do not belong to any request
 * cpu_ms                   CPU time used by this program
 *
 * Exit codes: 0; 64: bad arguments; 69: no broker; 75: connection lost.
 */
#define _GNU_SOURCE
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define INFLIGHT_MAX 4096
#define BODY "{\"instances\":[[6.8,2.8,4.8,1.4]]}"

static struct mosquitto *mq;
static int qos, inflight, lane = 5;
static const char *model = "iris";
static char topic[200];
static char *body;
static int body_bytes;

/* Answers to requests of an earlier run of this program contain another generation number, and are ignored. */
static uint32_t generation;
/* Every request has a different number: a repeat would be answered from memory, without calling the model. */
static uint32_t sequence;

static double warm_s = 1.0, started_at, ends_at;
static double sent_at[INFLIGHT_MAX]; /* by slot: 0 .. inflight - 1 */

static double *latencies; /* seconds */
static long latency_count, latency_capacity;
static long answers, bad;
static bool is_subscribed;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void send_request(uint32_t slot) {
  mosquitto_property *properties = NULL;
  sent_at[slot] = now();
  if (lane == 3) {
    snprintf(topic, sizeof topic, "infer/request/load/%s/%u-%u-%u", model, generation, sequence++, slot);
  } else {
    uint32_t correlation[] = {slot, generation, sequence++};
    mosquitto_property_add_string(&properties, MQTT_PROP_RESPONSE_TOPIC, "infer/reply/load/iris/predict");
    mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA, correlation, sizeof correlation);
  }
  if (mosquitto_publish_v5(mq, NULL, topic, body_bytes, body, qos, false, properties)) bad++;
  mosquitto_property_free_all(&properties);
}

/* Finds the request to which an answer belongs; returns false if there is none. */
static bool read_correlation(const struct mosquitto_message *message, const mosquitto_property *properties,
                             uint32_t *slot, uint32_t *of_generation) {
  uint32_t of_sequence;
  if (lane == 3) {
    return sscanf(strrchr(message->topic, '/') + 1, "%u-%u-%u", of_generation, &of_sequence, slot) == 3;
  }
  void *data = NULL;
  uint16_t length = 0;
  mosquitto_property_read_binary(properties, MQTT_PROP_CORRELATION_DATA, &data, &length, false);
  bool is_ours = data != NULL && length == 12;
  if (is_ours) {
    memcpy(slot, data, 4);
    memcpy(of_generation, (char *)data + 4, 4);
  }
  free(data);
  return is_ours;
}

static void keep_latency(double seconds) {
  if (latency_count == latency_capacity) {
    latency_capacity = latency_capacity ? latency_capacity * 2 : 65536;
    latencies = realloc(latencies, (size_t)latency_capacity * sizeof *latencies);
    if (latencies == NULL) abort();
  }
  latencies[latency_count++] = seconds;
}

static void on_message(struct mosquitto *m, void *user, const struct mosquitto_message *message,
                       const mosquitto_property *properties) {
  (void)m, (void)user;
  uint32_t slot = 0, of_generation = 0;
  if (!read_correlation(message, properties, &slot, &of_generation)) {
    bad++;
    return;
  }
  if (of_generation != generation) return;
  double t = now();
  if (slot >= (uint32_t)inflight) {
    bad++;
    return;
  }
  if (memmem(message->payload, (size_t)message->payloadlen, "predictions", 11) == NULL) {
    bad++;
    if (t < ends_at) send_request(slot);
    return;
  }
  if (t > started_at + warm_s && t < ends_at) keep_latency(t - sent_at[slot]);
  answers++;
  if (t < ends_at) send_request(slot);
}

static void on_connect(struct mosquitto *m, void *user, int code, int flags,
                       const mosquitto_property *properties) {
  (void)user, (void)code, (void)flags, (void)properties;
  mosquitto_subscribe_v5(m, NULL, "infer/reply/load/#", qos, 0, NULL);
}

static void on_subscribe(struct mosquitto *m, void *user, int id, int count, const int *granted,
                         const mosquitto_property *properties) {
  (void)m, (void)user, (void)id, (void)count, (void)granted, (void)properties;
  is_subscribed = true;
}

static int by_size(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

static double percentile_ms(double fraction) {
  return latency_count ? latencies[(long)((double)latency_count * fraction)] * 1e3 : -1;
}

static double own_cpu_ms(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-3;
}

int main(int argc, char **argv) {
  if (argc < 7) {
    fprintf(stderr, "usage: load HOST PORT QOS INFLIGHT SECONDS SIZE [LANE [WARM [MODEL]]]\n");
    return 64;
  }
  qos = atoi(argv[3]);
  inflight = atoi(argv[4]);
  double seconds = atof(argv[5]);
  body_bytes = atoi(argv[6]);
  if (argc > 7) lane = atoi(argv[7]);
  if (argc > 8) warm_s = atof(argv[8]);
  if (argc > 9) model = argv[9];
  if (inflight < 1 || inflight > INFLIGHT_MAX || body_bytes < 0 || !(seconds > 0)) {
    fprintf(stderr, "load: INFLIGHT is 1 to %d, SECONDS is more than 0, SIZE is 0 or more\n", INFLIGHT_MAX);
    return 64;
  }

  generation = (uint32_t)getpid();
  snprintf(topic, sizeof topic, "infer/request/load/%s/predict", model);
  body = malloc((size_t)body_bytes + sizeof BODY);
  if (body == NULL) abort();
  memset(body, ' ', (size_t)body_bytes + sizeof BODY);
  memcpy(body, BODY, sizeof BODY - 1);

  mosquitto_lib_init();
  mq = mosquitto_new("load", true, NULL);
  mosquitto_int_option(mq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
  mosquitto_int_option(mq, MOSQ_OPT_RECEIVE_MAXIMUM, INFLIGHT_MAX);
  mosquitto_int_option(mq, MOSQ_OPT_SEND_MAXIMUM, INFLIGHT_MAX);
  mosquitto_int_option(mq, MOSQ_OPT_TCP_NODELAY, 1); /* otherwise every round trip waits 40 ms for a delayed ACK */
  mosquitto_connect_v5_callback_set(mq, on_connect);
  mosquitto_subscribe_v5_callback_set(mq, on_subscribe);
  mosquitto_message_v5_callback_set(mq, on_message);
  if (mosquitto_connect_bind_v5(mq, argv[1], atoi(argv[2]), 60, NULL, NULL)) {
    fprintf(stderr, "load: no broker at %s:%s\n", argv[1], argv[2]);
    return 69;
  }

  bool is_started = false, is_lost = false;
  double gives_up_at = now() + seconds + warm_s + 10;
  while (!(is_started && now() > ends_at) && now() <= gives_up_at) {
    short events = POLLIN | (mosquitto_want_write(mq) ? POLLOUT : 0);
    struct pollfd broker = {mosquitto_socket(mq), events, 0};
    poll(&broker, 1, 100);
    if (broker.revents & POLLIN && mosquitto_loop_read(mq, 64)) {
      fprintf(stderr, "load: the broker closed the connection\n");
      is_lost = true;
      break;
    }
    mosquitto_loop_write(mq, 64);
    mosquitto_loop_misc(mq);
    if (is_subscribed && !is_started) {
      is_started = true;
      started_at = now();
      ends_at = started_at + warm_s + seconds;
      for (int slot = 0; slot < inflight; slot++) send_request((uint32_t)slot);
    }
  }

  if (latency_count) qsort(latencies, (size_t)latency_count, sizeof *latencies, by_size);
  printf("{\"rps\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"n\":%ld,\"total\":%ld,\"bad\":%ld,\"cpu_ms\":%.0f}\n",
         (double)latency_count / seconds, percentile_ms(0.5), percentile_ms(0.99), latency_count, answers, bad,
         own_cpu_ms());
  return is_lost ? 75 : 0;
}
