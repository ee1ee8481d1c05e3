// mosquitto.conf for a pod, for both lines of Mosquitto.
import type { Broker } from '../options.ts'

const MIB = 1_048_576
// Not counted by Mosquitto: the program, its libraries and what malloc keeps, 9 MiB measured with 2.0.11.
const OUTSIDE_OF_LIMIT_MI = 16

/** Where the pod mounts what the broker reads and writes. */
export const PATHS = {
  config: '/mosquitto/config',
  password: '/mosquitto/password',
  tls: '/mosquitto/tls',
  data: '/mosquitto/data',
} as const

/** The ports on which the broker listens. */
export const PORTS = { mqtt: 1883, ws: 9001, mqtts: 8883 } as const

/** Whether the broker itself speaks TLS; with Traefik it ends there. */
export function hasTlsListener({ tls, expose }: Pick<Broker, 'tls' | 'expose'>): boolean {
  return tls !== undefined && expose !== 'traefik'
}

/** The configuration. */
export function mosquittoConf(broker: Pick<Broker, 'version' | 'tls' | 'expose' | 'memoryMi'>): string {
  const { memoryLimit, queuedBytes, queuedMessages } = memoryBounds(broker.memoryMi)
  return [
    `listener ${PORTS.mqtt}`,
    `listener ${PORTS.ws}`,
    'protocol websockets',
    ...(hasTlsListener(broker) ? tlsListener() : []),
    '',
    '# Nobody without a password, and everybody under the own name only.',
    'allow_anonymous false',
    `password_file ${PATHS.password}/password.txt`,
    `acl_file ${PATHS.config}/acl.txt`,
    '',
    ...persistence(broker.version),
    '',
    '# A client that does not come back is forgotten, with its queue.',
    'persistent_client_expiration 14d',
    '',
    '# 2.1 takes packets of 2,000,000 bytes unless told otherwise; tensors are larger.',
    'max_packet_size 67108864',
    '# What may be unacknowledged at once where the client does not say (MQTT 3.1.1); the default is 20.',
    'max_inflight_messages 1000',
    '# The queue of a client that is away. What does not fit is dropped, and its publisher is not told.',
    `max_queued_messages ${queuedMessages}`,
    `max_queued_bytes ${queuedBytes}`,
    '# Of all queues together, where memory is counted: by 2.1, and by 2.0 with glibc, which its official image has not.',
    `memory_limit ${memoryLimit}`,
    '# A small packet leaves at once.',
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

// What the broker may take of the memory limit of its container, in bytes and messages.
function memoryBounds(memoryMi: number): {
  readonly memoryLimit: number
  readonly queuedBytes: number
  readonly queuedMessages: number
} {
  const limitMi = Math.min(Math.floor((memoryMi * 3) / 4), memoryMi - OUTSIDE_OF_LIMIT_MI)
  return {
    memoryLimit: limitMi * MIB,
    queuedBytes: (memoryMi * MIB) / 4,
    // Each takes some hundred bytes beside its payload, which alone is counted by the other.
    queuedMessages: memoryMi * 200,
  }
}

function tlsListener(): string[] {
  return [`listener ${PORTS.mqtts}`, `certfile ${PATHS.tls}/tls.crt`, `keyfile ${PATHS.tls}/tls.key`]
}

function persistence(version: Broker['version']): string[] {
  if (version === '2.0') {
    return [
      '# Everything is saved at every stop, and every 10 s. Killed, the broker knows what it knew at the last save: what it',
      '# acknowledged since and had not handed on is lost, except to clients that repeat until they have an answer.',
      '# A save halts the broker while it writes all queues, 0.2 s for 100 MB: each second that would be a fifth of its time,',
      '# and with autosave_on_changes (after each message) its throughput falls to a tenth or less. 2.1 has a better way.',
      'persistence true',
      `persistence_location ${PATHS.data}/`,
      'autosave_interval 10',
    ]
  }
  return [
    '# Each change is written before the next: a crash loses what is being acknowledged, not the last seconds.',
    `persistence_location ${PATHS.data}/`,
    'global_plugin /usr/lib/mosquitto_persist_sqlite.so',
    'plugin_opt_flush_period 0',
    'plugin_opt_sync extra',
  ]
}
