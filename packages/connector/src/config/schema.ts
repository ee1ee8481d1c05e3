// Every option, once: type, default, unit, description. Types, validation, JSON Schema and the reference page follow.
import { isAllowableHeader, isCleanLevel, isModelName, isOperationName } from '@inferwire/protocol'
import { z } from 'zod'
import { brokerUrlMistake, isHost, modelUrlMistake } from './address.ts'
import { file, integer, option, optionalFile, text } from './option.ts'
import { circuit, retry } from './retry-options.ts'
import { Secret } from './secret.ts'

const MIB = 1024 * 1024

// Text whose mistake is told in the function's own words.
function address(mistake: (value: string) => string | undefined) {
  return z.string({ error: mistake('') }).check((context) => {
    const expected = mistake(context.value)
    if (expected !== undefined) {
      context.issues.push({ code: 'custom', message: expected, input: context.value })
    }
  })
}

const shortText = text((value) => value.length > 0 && value.length <= 1024, 'text of 1 to 1024 characters')
const level = text(
  isCleanLevel,
  'one topic level: no "/", "+", "#" and control characters, at most 255 characters',
)
const glob = text((value) => /^[^/+#]{1,255}$/.test(value), 'a name in which * stands for any characters')

const tls = z.strictObject({
  caFile: optionalFile('PEM file with the certificate authorities to trust, in place of those of Node.js.'),
  certFile: optionalFile('PEM file with our client certificate.'),
  keyFile: optionalFile('PEM file with the key of our client certificate.'),
  serverName: option(shortText.optional(), {
    description: 'Name to ask for (SNI) and to find in the certificate.',
    defaultText: 'the host of the URL',
  }),
  insecureSkipVerify: option(z.boolean().default(false), {
    description: 'Accepts any certificate. Only for trying things out.',
  }),
})

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
  protocolVersion: option(
    z
      .literal([5, 4, '3.1.1'], { error: '5, or 4 for MQTT 3.1.1' })
      .default(5)
      .transform((version) => (version === 5 ? 5 : 4)),
    { description: 'MQTT version: 5, or 4 (also written "3.1.1").' },
  ),
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
    { min: 1, max: 65_535, default: 65_535 },
    'requests',
    'Requests that may be unacknowledged at once. Large on purpose: what is not taken fills the queue of the broker, which drops silently.',
  ),
  share: option(level.optional(), {
    description: 'Name of a shared subscription, where several connectors share the work.',
  }),
  ackOrder: option(z.enum(['strict', 'as-settled']).default('strict'), {
    description:
      'strict acknowledges in the order of arrival, as MQTT demands; as-settled repeats less after a crash.',
  }),
  reconnect: z
    .strictObject({
      minMs: integer(
        { min: 10, max: 60_000, default: 100 },
        'ms',
        'Longest wait before the first new attempt.',
      ),
      maxMs: integer({ min: 10, max: 600_000, default: 15_000 }, 'ms', 'Longest wait before any attempt.'),
    })
    .prefault({}),
})

const limits = z.strictObject({
  concurrency: integer(
    { min: 1, max: 10_000, default: 64 },
    'requests',
    'Calls to the model server that run at once.',
  ),
  queueDepthMax: integer(
    { min: 0, max: 65_535, default: 4096 },
    'requests',
    'Requests that wait for their turn; one more is answered `overloaded`.',
  ),
  queueBytesMax: integer(
    { min: 0, max: 1024 * MIB, default: 64 * MIB },
    'bytes',
    'Bytes of the requests that wait.',
  ),
  requestBytesMax: integer(
    { min: 1, max: 256 * MIB, default: 16 * MIB },
    'bytes',
    'Largest body of a request.',
  ),
  responseBytesMax: integer(
    { min: 1, max: 256 * MIB, default: 16 * MIB },
    'bytes',
    'Largest answer of the model server.',
  ),
})

const staticHeaderName = text(
  (value) =>
    /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/.test(value) &&
    !/^(?:host|cookie|connection|expect|te|trailer|upgrade|transfer-encoding|content-.*|proxy-.*)$/i.test(
      value,
    ),
  'the name of a header that may carry a secret, such as x-api-key (not host, cookie, content-…)',
)
const credential = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({ kind: z.literal('none') }),
    z.strictObject({
      kind: z.literal('token-file'),
      file: file('File with a token (JWT); read again when it changes.'),
    }),
    z.strictObject({
      kind: z.literal('static-header'),
      name: option(staticHeaderName, { description: 'Name of the header.' }),
      valueFile: file('File with the value; read again when it changes.'),
    }),
  ],
  {
    error: ({ code }) =>
      code === 'invalid_union'
        ? 'none, token-file or static-header'
        : 'a map with kind: none, token-file or static-header',
  },
)

const VERSION_EXPECTED = 'a version such as 1: letters, digits, ".", "_", "-"'
const versionText = text(
  (value) => /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?$/.test(value),
  VERSION_EXPECTED,
)

const model = z.strictObject({
  url: option(address(modelUrlMistake), {
    description: 'The model server: what comes before /v1 or /v2. A path prefix stays.',
  }),
  host: option(text(isHost, 'a host name, with or without a port').optional(), {
    description: 'Host to send where it differs from the address: an Istio gateway routes by it.',
    defaultText: 'the host of the URL',
  }),
  protocol: option(z.enum(['v1', 'v2']).optional(), {
    description: 'Protocol of the model server.',
    defaultText: 'found out by asking the server; both where it speaks both',
  }),
  as: option(text(isModelName, 'the name of a model').optional(), {
    description: 'Name of the model on its server.',
    defaultText: 'the name in `models`',
  }),
  versions: option(
    z
      .array(
        // A version without quotes is a number to YAML.
        z.union([z.int().nonnegative(), versionText], { error: VERSION_EXPECTED }).transform(String),
      )
      .max(64)
      .default([]),
    {
      description: 'Versions to expose beside the model, as {name}@{version} (V2).',
    },
  ),
  defaultOperation: option(
    text(isOperationName, 'an operation: predict, explain, infer, metadata or ready').optional(),
    {
      description: 'Operation of a topic that names none.',
      defaultText: 'infer where the server speaks V2, else predict',
    },
  ),
  description: option(shortText.optional(), { description: 'A sentence for the model card.' }),
  example: option(
    z
      .strictObject({
        operation: text(isOperationName, 'an operation: predict, explain, infer').optional(),
        body: z.unknown().refine(isJson, { error: 'what JSON can say: no .inf, .nan and special tags' }),
      })
      .optional(),
    { description: 'A request that works, for the model card: `operation` and `body`.' },
  ),
  timeoutMs: integer(
    { min: 1, max: 3_600_000, default: 30_000 },
    'ms',
    'Deadline of a request that names none, and the longest that one may name.',
  ),
  limits: limits.prefault({}),
  retry: retry.prefault({}),
  circuit: circuit.prefault({}),
  repeatable: option(z.boolean().default(true), {
    description:
      'Whether a request may be executed twice after a crash. Set false where a call has side effects: what may have been executed is then answered `maybe_executed`.',
  }),
  passHeaders: option(
    z
      .array(
        text(
          isAllowableHeader,
          'a lower-case header name that may be opened (not authorization, host, content-…, x-envoy-…)',
        ),
      )
      .max(16)
      .default([]),
    { description: 'User properties of a request that become HTTP headers, by exact lower-case name.' },
  ),
  credential: option(credential.default({ kind: 'none' }), {
    description:
      'How we prove who we are: `kind: none`, `kind: token-file` with `file`, or `kind: static-header` with `name` and `valueFile`.',
  }),
  tls: tls.prefault({}),
})

// Bounded by the depth of the file.
function isJson(value: unknown): boolean {
  if (value === undefined || value === null || ['string', 'boolean'].includes(typeof value)) return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (Array.isArray(value)) return value.every(isJson)
  return Object.getPrototypeOf(value) === Object.prototype && Object.values(value).every(isJson)
}

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
      })
      .optional(),
    {
      description:
        'Which client may use which model: `allow` is a list of `clients` and `models` with * as wildcard. An empty list denies all.',
      defaultText: 'every client may use every model',
    },
  ),
  limits: z
    .strictObject({
      bytesInFlightMax: integer(
        { min: 1, max: 64 * 1024 * MIB, default: 128 * MIB },
        'bytes',
        'Bytes of the requests that run or wait, over all models.',
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
