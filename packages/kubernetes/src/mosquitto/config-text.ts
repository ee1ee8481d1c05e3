// Generates mosquitto.conf for a pod, for both release lines of Mosquitto.
import type { Broker, TlsOptions } from '../options.ts'

const MIB = 1_048_576
// Memory that Mosquitto does not count: the program, its libraries and malloc's overhead (9 MiB measured with 2.0.11).
const OUTSIDE_OF_LIMIT_MI = 16

/** The mount paths in the broker's pod. */
export const PATHS = {
  config: '/mosquitto/config',
  password: '/mosquitto/password',
  tls: '/mosquitto/tls',
  clientCa: '/mosquitto/client-ca',
  data: '/mosquitto/data',
} as const

/** The ports on which the broker listens. */
export const PORTS = { mqtt: 1883, ws: 9001, mqtts: 8883 } as const

/**
 * Returns whether the broker itself terminates TLS. If Traefik is used, Traefik terminates it, unless the broker must see
 * the clients' certificates.
 */
export function hasTlsListener({ tls, expose }: Pick<Broker, 'tls' | 'expose'>): boolean {
  return tls !== undefined && (expose !== 'traefik' || tls.clientCaSecret !== undefined)
}

/** Returns the text of mosquitto.conf. */
export function mosquittoConf(broker: Pick<Broker, 'version' | 'tls' | 'expose' | 'memoryMi'>): string {
  const { memoryLimit, queuedBytes, queuedMessages } = memoryBounds(broker.memoryMi)
  return [
    `listener ${PORTS.mqtt}`,
    `listener ${PORTS.ws}`,
    'protocol websockets',
    ...(hasTlsListener(broker) ? tlsListener(broker.tls!) : []),
    '',
    '# Every client needs a password; the ACL restricts each user to topics with its own name.',
    'allow_anonymous false',
    `password_file ${PATHS.password}/password.txt`,
    `acl_file ${PATHS.config}/acl.txt`,
    '',
    ...persistence(broker.version),
    '',
    '# Removes the session and the queue of a client that has been disconnected for this long.',
    'persistent_client_expiration 14d',
    '',
    '# The default in 2.1 is 2,000,000 bytes, which is too small for many tensors.',
    'max_packet_size 67108864',
    '# Maximum number of unacknowledged messages if a client sets no Receive Maximum (MQTT 3.1.1); the default is 20.',
    'max_inflight_messages 1000',
    '# Limits for the queue of a disconnected client. Further messages are discarded without notifying the publisher.',
    `max_queued_messages ${queuedMessages}`,
    `max_queued_bytes ${queuedBytes}`,
    '# Limit for all queues together. Mosquitto 2.0 applies it only with glibc, which the official 2.0 image does not use.',
    `memory_limit ${memoryLimit}`,
    '# Sends small packets without delay.',
    'set_tcp_nodelay true',
    '',
    'log_dest stdout',
    'log_type error',
    'log_type warning',
    'log_type notice',
    'log_timestamp_format %Y-%m-%dT%H:%M:%S',
    '',
  ].join('\n')
}

// Derives the broker's limits, in bytes and in messages, from the container's memory limit.
function memoryBounds(memoryMi: number): {
  readonly memoryLimit: number
  readonly queuedBytes: number
  readonly queuedMessages: number
} {
  const limitMi = Math.min(Math.floor((memoryMi * 3) / 4), memoryMi - OUTSIDE_OF_LIMIT_MI)
  return {
    memoryLimit: limitMi * MIB,
    queuedBytes: (memoryMi * MIB) / 4,
    // A limit on messages is needed too: each message takes a few hundred bytes in addition to its payload, and
    // the limit in bytes counts only payloads.
    queuedMessages: memoryMi * 200,
  }
}

function tlsListener({ clientCaSecret }: TlsOptions): string[] {
  return [
    `listener ${PORTS.mqtts}`,
    `certfile ${PATHS.tls}/tls.crt`,
    `keyfile ${PATHS.tls}/tls.key`,
    ...(clientCaSecret === undefined ? [] : clientCertificates()),
  ]
}

function clientCertificates(): string[] {
  return [
    "# On this port, the user name is the common name of the client's certificate; passwords are not used.",
    `cafile ${PATHS.clientCa}/ca.crt`,
    'require_certificate true',
    'use_identity_as_username true',
  ]
}

function persistence(version: Broker['version']): string[] {
  if (version === '2.0') {
    return [
      '# The broker saves everything when it stops and every 10 s. After a crash it starts from the last save: messages that',
      '# it has acknowledged since then but not delivered are lost, unless their clients repeat unanswered requests.',
      '# A save blocks the broker while it writes all queues: 0.2 s for 100 MB. An interval of 1 s would take a fifth of its',
      '# time; autosave_on_changes (after each message) reduces its throughput to a tenth or less.',
      '# Mosquitto 2.1 does not need these saves.',
      'persistence true',
      `persistence_location ${PATHS.data}/`,
      'autosave_interval 10',
    ]
  }
  return [
    '# Writes each change at once, so that a crash loses only messages in flight, not those of the last few seconds.',
    `persistence_location ${PATHS.data}/`,
    'global_plugin /usr/lib/mosquitto_persist_sqlite.so',
    'plugin_opt_flush_period 0',
    'plugin_opt_sync extra',
  ]
}
