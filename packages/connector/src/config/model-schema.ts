// The options of one model.
import {
  DIALECTS,
  dialectNames,
  isAllowableHeader,
  isOperationName,
  isServerModelName,
  OPERATIONS,
  versionedDialects,
} from '@inferwire/protocol'
import { z } from 'zod'
import { isHost, modelPaths, modelUrlMistake } from './address.ts'
import { bytesOfMemory, file, integer, option, text } from './option.ts'
import { circuit, retry } from './retry-options.ts'
import { address, MIB, shortText, tls } from './schema-parts.ts'

/** Models whose calls may take longer have a lane unless the configuration says otherwise. */
export const LANE_TIMEOUT_MS = 120_000

const OPERATION_NAMES = Object.keys(OPERATIONS).filter(isOperationName)
const VERSIONED_TITLES = versionedDialects()
  .map((dialect) => DIALECTS[dialect].title)
  .join(', ')
const DEFAULT_OPERATIONS = dialectNames()
  .map(
    (dialect) => `${DIALECTS[dialect].defaultOperation} where the server speaks ${DIALECTS[dialect].title}`,
  )
  .join(', else ')

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
  queueBytesMax: bytesOfMemory(
    { min: 0, max: 1024 * MIB, default: 64 * MIB },
    16,
    'Bytes of the requests that wait.',
  ),
  queueWaitMaxMs: integer(
    { min: 1, max: 3_600_000, default: 5_000 },
    'ms',
    "Longest wait for a turn: a request that would wait longer, at the pace of the last turns, is answered `overloaded` at once. Twice `concurrency` may always wait, but never beyond the request's deadline.",
  ),
  requestBytesMax: bytesOfMemory(
    { min: 1, max: 256 * MIB, default: 16 * MIB },
    32,
    'Largest body of a request.',
  ),
  responseBytesMax: bytesOfMemory(
    { min: 1, max: 256 * MIB, default: 16 * MIB },
    32,
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
      tokenFile: file('File with a token (JWT); read again when it changes.'),
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

/** One exposed model: its server, its bounds, how it is asked. */
export const model = z.strictObject({
  url: option(address(modelUrlMistake), {
    description: `The model server: what comes before ${modelPaths().join(' or ')}. A path prefix stays.`,
  }),
  host: option(text(isHost, 'a host name, with or without a port').optional(), {
    description: 'Host to send where it differs from the address: an Istio gateway routes by it.',
    defaultText: 'the host of the URL',
  }),
  protocolVersion: option(z.enum(dialectNames().sort()).optional(), {
    description: "KServe's protocol version of the model server.",
    defaultText: 'every version that the server answers',
  }),
  modelName: option(
    text(
      isServerModelName,
      "the name of a model on its server: letters, digits and -._~!$&'()*+,;=:@",
    ).optional(),
    {
      description: 'Name of the model on its server. It may have what a name on topics may not, such as `+`.',
      defaultText: 'the name in `models`',
    },
  ),
  versions: option(
    z
      .array(
        // A version without quotes is a number to YAML.
        z.union([z.int().nonnegative(), versionText], { error: VERSION_EXPECTED }).transform(String),
      )
      .max(64)
      .default([]),
    {
      description: `Versions to expose in addition to the model, as {name}@{version} (${VERSIONED_TITLES}).`,
    },
  ),
  defaultOperation: option(text(isOperationName, `an operation: ${OPERATION_NAMES.join(', ')}`).optional(), {
    description: 'Operation of a topic that names none.',
    defaultText: DEFAULT_OPERATIONS,
  }),
  description: option(shortText.optional(), { description: 'A sentence for the model card.' }),
  example: option(
    z
      .strictObject({
        operation: text(
          isOperationName,
          `an operation: ${OPERATION_NAMES.filter((name) => OPERATIONS[name].hasBody).join(', ')}`,
        ).optional(),
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
  lane: option(z.boolean().optional(), {
    description:
      'Whether the model has a session of its own at the broker, with a client identifier and subscriptions of its own: its calls then hold up no other model, whatever the broker does with late acknowledgements. For calls that take minutes. The broker forwards its requests twice.',
    defaultText: `true where timeoutMs is above ${LANE_TIMEOUT_MS}`,
  }),
  limits: limits.prefault({}),
  retry: retry.prefault({}),
  circuit: circuit.prefault({}),
  repeatable: option(z.boolean().default(true), {
    description:
      'Whether a request may be executed twice after a crash. Set false where a call has side effects: what may have been executed is then answered `maybe_executed`.',
  }),
  errorText: option(
    z.enum(['none', 'first-line', 'whole'], { error: 'none, first-line or whole' }).default('first-line'),
    {
      description:
        "What of a model server's error goes to the client. first-line keeps the first line of each text in it, and of a Python traceback the exception; whole passes tracebacks and file paths on. A body above 64 KiB is cut to its first 1000 characters. The log has the beginning of the text.",
    },
  ),
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
      'How we prove who we are: `kind: none`, `kind: token-file` with `tokenFile`, or `kind: static-header` with `name` and `valueFile`.',
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
