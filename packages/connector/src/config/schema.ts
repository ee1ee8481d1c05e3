// Every option with its type, default, unit and description. The types, the validation, the JSON Schema and the
// reference page are derived from this file.
import { isCleanLevel, isModelName } from '@inferwire/protocol'
import { z } from 'zod'
import { brokerUrlMistake } from './address.ts'
import { credentials } from './credential-schema.ts'
import { discovery } from './discovery-schema.ts'
import { model } from './model-schema.ts'
import { advanced, bytesOfMemory, integer, option, optionalFile, text } from './option.ts'
import { policy } from './policy-schema.ts'
import { address, level, MIB, shortText, tls } from './schema-parts.ts'
import { Secret } from './secret.ts'

const PASSWORD_IN_FILE = 'must not be in the file; set INFERWIRE_BROKER_PASSWORD, or use broker.passwordFile'
const TOPIC_LENGTH_MAX = 255

// Secrets are read only from the environment, because configuration files are copied, committed and shown.
function isFullSecret(value: unknown): boolean {
  return value instanceof Secret && value.reveal() !== ''
}

function passwordMistake({ input }: { readonly input?: unknown }): string {
  return input instanceof Secret ? 'non-empty text' : PASSWORD_IN_FILE
}

function isTopic(value: string): boolean {
  return value.split('/').every(isCleanLevel) && !value.startsWith('$') && value.length <= TOPIC_LENGTH_MAX
}

const broker = z.strictObject({
  url: option(address(brokerUrlMistake).default('mqtt://127.0.0.1:1883'), {
    description: 'URL of the broker: `mqtt://`, `mqtts://`, `ws://` or `wss://`.',
  }),
  mqttVersion: advanced(
    option(z.literal([5, '3.1.1'], { error: '5 or 3.1.1' }).default(5), { description: 'MQTT version.' }),
  ),
  clientId: advanced(
    option(
      text(
        (value) => value.length > 0 && value.length <= 128 && isCleanLevel(value),
        'a client identifier of 1 to 128 characters',
      ).optional(),
      {
        description: "Client identifier; must differ from those of the broker's other clients.",
        details:
          'The identifier must stay the same across restarts, because the broker stores queued requests under it.',
        defaultText: '`inferwire-{name}`',
      },
    ),
  ),
  username: option(shortText.optional(), { description: 'User name for the broker.' }),
  passwordFile: optionalFile('File with the password; read again for every connection.'),
  password: option(z.custom<Secret>(isFullSecret, { error: passwordMistake }).optional(), {
    description:
      'Password; set only with `INFERWIRE_BROKER_PASSWORD`, never in the file. Prefer `passwordFile`.',
    isSecret: true,
  }),
  tls: tls.prefault({}),
  keepAliveSeconds: advanced(
    integer(
      { min: 1, max: 65_535, default: 30 },
      's',
      'MQTT Keep Alive; the connection is closed if the broker sends nothing for 1.5 times as long.',
    ),
  ),
  connectTimeoutMs: advanced(
    integer(
      { min: 100, max: 600_000, default: 10_000 },
      'ms',
      'Time limit for a connection attempt, which ends when the broker has acknowledged the subscription.',
    ),
  ),
  sessionExpirySeconds: advanced(
    integer(
      { min: 1, max: 0xffff_ffff, default: 300 },
      's',
      'MQTT Session Expiry Interval; must be longer than a restart of the connector takes.',
      'The broker queues requests for this long after the connection was lost.',
    ),
  ),
  receiveMaximum: advanced(
    integer(
      { min: 1, max: 65_535, default: 32_767 },
      'requests',
      'MQTT Receive Maximum: number of requests that may be unacknowledged at the same time.',
      "The default is large, because requests above the limit stay in the broker's queue, and the broker silently discards requests when its queue is full. A value above 32767 has an effect only with `ackOrder: strict`.",
    ),
  ),
  share: advanced(
    option(level.optional(), {
      description: 'Name of a shared subscription, through which several connectors share the requests.',
    }),
  ),
  ackOrder: advanced(
    option(z.enum(['bounded', 'strict', 'as-settled']).default('bounded'), {
      description: 'Order in which requests are acknowledged.',
      details:
        '`strict` acknowledges in the order of arrival, as MQTT requires: one long call delays all later acknowledgements. `bounded` stops waiting for a call that takes longer than `ackHoldMaxMs`. `as-settled` acknowledges each request as soon as it is answered.',
    }),
  ),
  ackHoldMaxMs: advanced(
    integer(
      { min: 0, max: 3_600_000, default: 2_000 },
      'ms',
      'With `ackOrder: bounded`: how long one call may delay the acknowledgements of later requests.',
    ),
  ),
  reconnect: z
    .strictObject({
      minMs: advanced(
        integer(
          { min: 10, max: 60_000, default: 100 },
          'ms',
          'Upper bound of the random wait before the first attempt.',
        ),
      ),
      maxMs: advanced(
        integer(
          { min: 10, max: 600_000, default: 15_000 },
          'ms',
          'Upper bound of the random wait before any attempt.',
          'If another client has taken over the session, the wait is up to 30 s.',
        ),
      ),
    })
    .prefault({}),
})

const limits = z.strictObject({
  bytesInFlightMax: advanced(
    bytesOfMemory(
      { min: 1, max: 64 * 1024 * MIB, default: 128 * MIB },
      8,
      'Maximum total size of the running and waiting requests of all models.',
    ),
  ),
  duplicates: z
    .strictObject({
      bytesMax: advanced(
        bytesOfMemory(
          { min: 0, max: 4096 * MIB, default: 16 * MIB },
          24,
          'Memory for remembered answers, so that repeated requests need no second call; 0 = none.',
        ),
      ),
      windowMs: advanced(
        integer(
          { min: 0, max: 3_600_000, default: 120_000 },
          'ms',
          'How long an answer is kept if its request has no Message Expiry Interval.',
        ),
      ),
    })
    .prefault({}),
  client: z
    .strictObject({
      inFlightMax: advanced(
        integer(
          { min: 1, max: 65_535, default: 8192 },
          'requests',
          'Maximum number of requests in flight from one client.',
        ),
      ),
      requestsPerSecond: option(
        z
          .number({ error: 'a number above 0' })
          .positive({ error: 'a number above 0' })
          .max(1_000_000, { error: 'at most 1000000' })
          .optional(),
        {
          description:
            "Maximum number of requests per second from one client; a burst may contain one second's worth.",
          defaultText: 'no limit',
        },
      ),
    })
    .prefault({}),
})

const poison = z.strictObject({
  enabled: advanced(
    option(z.boolean().default(true), {
      description: 'Whether the connector looks for the request that crashed it.',
      details:
        'After a crash, redelivered requests are recorded on disk while they run. A request that was running at each of three crashes is answered with `internal` and set aside.',
    }),
  ),
  stateFolder: advanced(
    option(shortText.optional(), {
      description: 'Folder for the state that must outlive the process; each connector needs its own folder.',
      details:
        'The folder contains a journal, which identifies any request that crashes the process, and the requests that were acknowledged before they were answered.',
      defaultText: 'a folder below `$XDG_STATE_HOME/inferwire` or `~/.local/state/inferwire`',
    }),
  ),
  deadLetterTopic: advanced(
    option(text(isTopic, 'a topic without wildcards, such as plant/dead-letters').optional(), {
      description: 'Topic for the requests that were set aside because they crash the process.',
      defaultText: 'they are only logged',
    }),
  ),
})

const admin = z.strictObject({
  enabled: advanced(
    option(z.boolean().default(true), {
      description: 'Whether the connector serves `/livez`, `/readyz` and `/metrics` over HTTP.',
    }),
  ),
  host: option(shortText.default('127.0.0.1'), {
    description: 'Address to serve `/livez`, `/readyz` and `/metrics` on.',
  }),
  port: integer(
    { min: 0, max: 65_535, default: 8383 },
    undefined,
    'Port of the HTTP server for `/livez`, `/readyz` and `/metrics`; 0 = any free port.',
  ),
})

/** The whole configuration. */
export const configSchema = z.strictObject({
  name: option(level.optional(), {
    description: 'Name of this connector: the last level of its status topic.',
    defaultText: 'the host name',
  }),
  root: option(text(isTopic, 'a topic without wildcards, such as infer or plant/infer').default('infer'), {
    description: 'First level or levels of all topics.',
  }),
  broker: broker.prefault({}),
  models: option(
    z
      .record(
        text(
          (value) => isModelName(value) && !value.includes('@'),
          'a model name: letters, digits, ".", "_", "-"',
        ),
        model,
      )
      .default({}),
    { description: 'The exposed models, by their names in topics.' },
  ),
  discovery: discovery.prefault({}),
  credentials,
  policy: option(policy.optional(), {
    description: 'Which client may use which model.',
    details:
      'A rule matches a request by `clients`, `models` and `operations`. A request runs if at least one matching rule allows its size and its rate, so the order of the rules does not matter, and no rule restricts what another rule allows. The highest `priorityMax` of the matching rules applies. A request for a forbidden model is answered with `model_not_found`, as if the model did not exist, and a request for a forbidden operation with `operation_not_supported`, as if the model did not offer it. With `showForbidden: true`, both are answered with `forbidden_model`. A body above `requestBytesMax` is answered with `payload_too_large`, a request above the `rate` with `overloaded`.',
    defaultText: 'every client may use every model',
  }),
  limits: limits.prefault({}),
  poison: poison.prefault({}),
  admin: admin.prefault({}),
  log: z
    .strictObject({
      level: option(z.enum(['debug', 'info', 'warn', 'error']).default('info'), {
        description: 'Lowest severity that is logged.',
      }),
      format: advanced(
        option(z.enum(['auto', 'json', 'pretty']).default('auto'), {
          description: 'Format of the log; `auto` is `pretty` on a terminal, otherwise `json`.',
        }),
      ),
    })
    .prefault({}),
  drain: z
    .strictObject({
      timeoutMs: advanced(
        integer(
          { min: 0, max: 3_600_000, default: 25_000 },
          'ms',
          'Time limit for finishing the requests in flight after SIGTERM.',
          'Streams that are still running one second before the limit end with `stream_interrupted`.',
        ),
      ),
    })
    .prefault({}),
})

type Parsed = z.output<typeof configSchema>

/** A valid configuration with every default filled in. */
export type ConnectorConfig = Omit<Parsed, 'name' | 'broker'> & {
  readonly name: string
  readonly broker: Omit<Parsed['broker'], 'clientId'> & { readonly clientId: string }
}
/** Trusted authorities and the client certificate of a TLS connection. */
export type TlsConfig = Partial<Parsed['broker']['tls']>
/** The connection to the broker. */
export type BrokerConfig = ConnectorConfig['broker']
/** One exposed model. */
export type ModelConfig = Parsed['models'][string]
/** The credentials that models refer to, by name. */
export type NamedCredentials = Parsed['credentials']
/** A configuration as it is written, in which an option with a default may be omitted. */
export type ConfigInput = z.input<typeof configSchema>
