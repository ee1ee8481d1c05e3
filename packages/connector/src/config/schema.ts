// Every option, once: type, default, unit, description. Types, validation, JSON Schema and the reference page follow.
import { isCleanLevel, isModelName } from '@inferwire/protocol'
import { z } from 'zod'
import { brokerUrlMistake } from './address.ts'
import { model } from './model-schema.ts'
import { bytesOfMemory, integer, option, optionalFile, text } from './option.ts'
import { address, glob, level, MIB, shortText, tls } from './schema-parts.ts'
import { Secret } from './secret.ts'

const PASSWORD_ELSEWHERE =
  'text that is not empty, in the variable INFERWIRE_BROKER_PASSWORD and never in the configuration file; or use broker.passwordFile'

// Only the environment makes Secrets: a configuration file is copied, committed and shown.
function isFullSecret(value: unknown): boolean {
  return value instanceof Secret && value.reveal() !== ''
}

const broker = z.strictObject({
  url: option(address(brokerUrlMistake).default('mqtt://127.0.0.1:1883'), {
    description: 'Where the broker is: mqtt, mqtts, ws or wss.',
  }),
  mqttVersion: option(z.literal([5, '3.1.1'], { error: '5 or 3.1.1' }).default(5), {
    description: 'MQTT version.',
  }),
  clientId: option(
    text(
      (value) => value.length > 0 && value.length <= 128 && isCleanLevel(value),
      'a client identifier of 1 to 128 characters',
    ).optional(),
    {
      description:
        'Client identifier. Must stay the same across restarts, because the broker keeps the queue under it, and differ between connectors.',
      defaultText: 'inferwire-{name}',
    },
  ),
  username: option(shortText.optional(), { description: 'User name at the broker.' }),
  passwordFile: optionalFile('File with the password, read again at every connection.'),
  password: option(z.custom<Secret>(isFullSecret, { error: PASSWORD_ELSEWHERE }).optional(), {
    description: 'Password, from the environment only. Prefer the file: an environment is seen by more eyes.',
    isSecret: true,
  }),
  tls: tls.prefault({}),
  keepAliveSeconds: integer(
    { min: 1, max: 65_535, default: 30 },
    's',
    'How often the connection is checked.',
  ),
  connectTimeoutMs: integer(
    { min: 100, max: 600_000, default: 10_000 },
    'ms',
    'Time for a connection to become usable, subscription included.',
  ),
  sessionExpirySeconds: integer(
    { min: 1, max: 0xffff_ffff, default: 300 },
    's',
    'How long the broker keeps our queue while we are away. Must be above the time of a restart.',
  ),
  receiveMaximum: integer(
    { min: 1, max: 65_535, default: 32_767 },
    'requests',
    'Requests that may be unacknowledged at once. Large on purpose: what is not taken fills the queue of the broker, which drops silently. More than 32767 has an effect only with ackOrder strict.',
  ),
  share: option(level.optional(), {
    description: 'Name of a shared subscription, where several connectors share the work.',
  }),
  ackOrder: option(z.enum(['bounded', 'strict', 'as-settled']).default('bounded'), {
    description:
      'strict acknowledges in the order of arrival, as MQTT demands, so one long call holds back all later acknowledgements; bounded gives the order up behind a call that is longer than ackHoldMaxMs; as-settled acknowledges at once.',
  }),
  ackHoldMaxMs: integer(
    { min: 0, max: 3_600_000, default: 2_000 },
    'ms',
    'With ackOrder bounded: how long one call may hold back the acknowledgements of later ones.',
  ),
  reconnect: z
    .strictObject({
      minMs: integer(
        { min: 10, max: 60_000, default: 100 },
        'ms',
        'Longest wait before the first new attempt.',
      ),
      maxMs: integer(
        { min: 10, max: 600_000, default: 15_000 },
        'ms',
        'Longest wait before any attempt, but for 30 s after another client took the session over.',
      ),
    })
    .prefault({}),
})

/** The whole configuration. */
export const configSchema = z.strictObject({
  name: option(level.optional(), {
    description: 'Name of this connector: a level of its status topic.',
    defaultText: 'the name of the host',
  }),
  root: option(
    text(
      (value) => value.split('/').every(isCleanLevel) && !value.startsWith('$') && value.length <= 255,
      'a topic without wildcards, such as infer or plant/infer',
    ).default('infer'),
    { description: 'Root of all topics; may have several levels.' },
  ),
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
    { description: 'The exposed models by name.' },
  ),
  policy: option(
    z
      .strictObject({
        allow: z
          .array(z.strictObject({ clients: z.array(glob).min(1), models: z.array(glob).min(1) }))
          .max(1000),
        showForbidden: z.boolean().default(false),
      })
      .optional(),
    {
      description:
        'Which client may use which model: `allow` is a list of `clients` and `models` with * as wildcard. An empty list denies all. A client that asks for a model that it may not use is answered as if there were none; with `showForbidden: true` it is answered `forbidden_model`.',
      defaultText: 'every client may use every model',
    },
  ),
  limits: z
    .strictObject({
      bytesInFlightMax: bytesOfMemory(
        { min: 1, max: 64 * 1024 * MIB, default: 128 * MIB },
        8,
        'Bytes of the requests that run or wait, over all models.',
      ),
      duplicates: z
        .strictObject({
          bytesMax: bytesOfMemory(
            { min: 0, max: 4096 * MIB, default: 16 * MIB },
            24,
            'Memory for answers, so that a repeated request is answered without a second call; 0 = none.',
          ),
          windowMs: integer(
            { min: 0, max: 3_600_000, default: 120_000 },
            'ms',
            'How long an answer is remembered whose request has no Message Expiry Interval.',
          ),
        })
        .prefault({}),
      client: z
        .strictObject({
          inFlightMax: integer(
            { min: 1, max: 65_535, default: 8192 },
            'requests',
            'Requests that one client may have under way.',
          ),
          requestsPerSecond: option(
            z
              .number({ error: 'a number above 0' })
              .positive({ error: 'a number above 0' })
              .max(1_000_000, { error: 'at most 1000000' })
              .optional(),
            {
              description: "Requests per second of one client; a second's worth may come at once.",
              defaultText: 'no bound',
            },
          ),
        })
        .prefault({}),
    })
    .prefault({}),
  poison: z
    .strictObject({
      enabled: option(z.boolean().default(true), {
        description:
          'After an unclean end, looks for the request that caused it: what is delivered again is watched.',
      }),
      stateFolder: option(shortText.optional(), {
        description:
          'Folder for what outlives the process: the journal that finds a request which ends it, and requests in safekeeping. Use one folder for each connector.',
        defaultText: 'a folder below $XDG_STATE_HOME/inferwire or ~/.local/state/inferwire',
      }),
      deadLetterTopic: option(
        text(
          (value) => value.split('/').every(isCleanLevel) && !value.startsWith('$') && value.length <= 255,
          'a topic without wildcards, such as plant/dead-letters',
        ).optional(),
        {
          description: 'Topic for requests that were set aside because they end the process.',
          defaultText: 'they are only logged',
        },
      ),
    })
    .prefault({}),
  admin: z
    .strictObject({
      enabled: option(z.boolean().default(true), { description: 'Serves /livez, /readyz and /metrics.' }),
      host: option(shortText.default('127.0.0.1'), { description: 'Address to listen on.' }),
      port: integer(
        { min: 0, max: 65_535, default: 8383 },
        undefined,
        'Port to listen on; 0 = any free one.',
      ),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: option(z.enum(['debug', 'info', 'warn', 'error']).default('info'), {
        description: 'Least serious level that is logged.',
      }),
      format: option(z.enum(['auto', 'json', 'pretty']).default('auto'), {
        description: 'auto is pretty on a terminal, else json.',
      }),
    })
    .prefault({}),
  drain: z
    .strictObject({
      timeoutMs: integer(
        { min: 0, max: 3_600_000, default: 25_000 },
        'ms',
        'Time to finish what is under way after SIGTERM.',
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
/** Whom to trust, and who we are, in a TLS handshake. */
export type TlsConfig = Partial<Parsed['broker']['tls']>
/** How to reach the broker. */
export type BrokerConfig = ConnectorConfig['broker']
/** One exposed model. */
export type ModelConfig = Parsed['models'][string]
/** How a model's calls prove who we are. */
export type CredentialConfig = ModelConfig['credential']
/** A configuration as it is written: everything that has a default may be left out. */
export type ConfigInput = z.input<typeof configSchema>
