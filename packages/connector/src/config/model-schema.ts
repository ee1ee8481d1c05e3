// The options of one model.
import {
  COALESCE_MS_MAX,
  DIALECTS,
  dialectNames,
  fitsRoutes,
  isAllowableHeader,
  isOperationName,
  isServerModelName,
  OPERATIONS,
  protocolVersions,
  versionedDialects,
  type Dialect,
  type DialectKind,
} from '@inferwire/protocol'
import { z } from 'zod'
import { isHost, modelPaths, modelUrlMistake } from './address.ts'
import { advanced, bytesOfMemory, integer, option, text } from './option.ts'
import { batching } from './batching-options.ts'
import { credential } from './credential-schema.ts'
import { circuit, retry } from './retry-options.ts'
import { address, MIB, shortText, tls } from './schema-parts.ts'

/** A model with a longer `timeoutMs` has a lane by default. */
export const LANE_TIMEOUT_MS = 120_000

const OPERATION_NAMES = Object.keys(OPERATIONS).filter(isOperationName)
const VERSIONED_TITLES = versionedDialects()
  .map((dialect) => DIALECTS[dialect].title)
  .join(', ')
const OPAQUE_TITLES = dialectNames()
  .filter(hasOpaqueBodies)
  .map((dialect) => DIALECTS[dialect].title)
  .join(', ')
const SLASH_TITLES = dialectNames()
  .filter((dialect) => fitsRoutes('a/b', dialect))
  .map((dialect) => DIALECTS[dialect].title)
  .join(', ')
const DEFAULT_OPERATIONS = dialectNames()
  .map((dialect) => `\`${DIALECTS[dialect].defaultOperation}\` on ${DIALECTS[dialect].title}`)
  .join(', else ')

const limits = z.strictObject({
  concurrency: integer(
    { min: 1, max: 10_000, default: 64 },
    'requests',
    'Maximum number of concurrent calls to the model server.',
  ),
  queueDepthMax: advanced(
    integer(
      { min: 0, max: 65_535, default: 4096 },
      'requests',
      'Maximum number of waiting requests; any further request is answered with `overloaded`.',
    ),
  ),
  queueBytesMax: advanced(
    bytesOfMemory(
      { min: 0, max: 1024 * MIB, default: 64 * MIB },
      16,
      'Maximum total size of the waiting requests.',
    ),
  ),
  queueWaitMaxMs: advanced(
    integer(
      { min: 1, max: 3_600_000, default: 5_000 },
      'ms',
      'Longest time that a request may wait; if it would wait longer, it is answered with `overloaded` at once.',
      'The wait is estimated from the rate of the most recent calls. Up to twice `concurrency` requests may wait regardless of the estimate, but no request waits beyond its deadline.',
    ),
  ),
  requestBytesMax: bytesOfMemory(
    { min: 1, max: 256 * MIB, default: 16 * MIB },
    32,
    'Largest body of a request.',
  ),
  responseBytesMax: advanced(
    bytesOfMemory(
      { min: 1, max: 256 * MIB, default: 16 * MIB },
      32,
      'Largest response body that the model server may send.',
    ),
  ),
})

const stream = z.strictObject({
  idleTimeoutMs: advanced(
    integer({ min: 1, max: 3_600_000, default: 30_000 }, 'ms', 'Longest time between two parts of a stream.'),
  ),
  timeoutMs: advanced(
    integer(
      { min: 1, max: 86_400_000, default: 600_000 },
      'ms',
      'Longest duration of a stream, from its first part.',
      "Replaces the model's `timeoutMs` after the first part. A client's own deadline (Message Expiry Interval or `timeout-ms`) remains in force.",
    ),
  ),
  coalesceMs: advanced(
    integer(
      { min: 0, max: COALESCE_MS_MAX, default: 0 },
      'ms',
      'How long streamed text is collected before it is sent as one part; a request can override it with `coalesce-ms`.',
      "Applies to the operations `chat` and `completions`. The first part is never delayed. With `0`, each of the model server's events becomes a part.",
    ),
  ),
})

const VERSION_EXPECTED = 'a version such as 1: letters, digits, ".", "_", "-"'
const versionText = text(
  (value) => /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?$/.test(value),
  VERSION_EXPECTED,
)

/** The options of one exposed model: its server, its limits and how calls authenticate. */
export const model = z.strictObject({
  url: option(address(modelUrlMistake), {
    description: `URL of the model server, without ${modelPaths()
      .map((path) => `\`${path}\``)
      .join(' or ')}. A path prefix is kept.`,
  }),
  host: option(text(isHost, 'a host name, with or without a port').optional(), {
    description: 'Host header, for example for an InferenceService behind an Istio gateway.',
    defaultText: 'the host of the URL',
  }),
  protocolVersion: option(z.enum(protocolVersions()).optional(), {
    description: 'KServe protocol version of the model server; `grpc-…` = over gRPC.',
    defaultText: 'every version that the server supports over HTTP',
  }),
  modelName: option(
    text(
      isServerModelName,
      "the name of a model on its server: letters, digits and -._~!$&'()*+,;=:@, and / between them",
    ).optional(),
    {
      description:
        'Name of the model on its server; may contain characters that topics do not allow, such as `+`.',
      details: `Over HTTP, a name with \`/\`, such as \`facebook/opt-125m\`, is possible only where paths do not contain it (${SLASH_TITLES}).`,
      defaultText: 'the name in `models`',
    },
  ),
  versions: advanced(
    option(
      z
        .array(
          // YAML reads an unquoted version as a number.
          z.union([z.int().nonnegative(), versionText], { error: VERSION_EXPECTED }).transform(String),
        )
        .max(64)
        .default([]),
      {
        description: `Versions to expose as \`{name}@{version}\`, in addition to the model (${VERSIONED_TITLES}).`,
      },
    ),
  ),
  defaultOperation: advanced(
    option(text(isOperationName, `an operation: ${OPERATION_NAMES.join(', ')}`).optional(), {
      description: 'Operation of a request whose topic does not name one.',
      defaultText: DEFAULT_OPERATIONS,
    }),
  ),
  description: advanced(
    option(shortText.optional(), { description: 'Description for the model card, in one sentence.' }),
  ),
  example: advanced(
    option(
      z
        .strictObject({
          operation: text(
            isOperationName,
            `an operation: ${OPERATION_NAMES.filter((name) => OPERATIONS[name].hasBody).join(', ')}`,
          ).optional(),
          body: z.unknown().refine(isJson, { error: 'a JSON value, without .inf, .nan or special tags' }),
        })
        .optional(),
      { description: 'Example of a working request, for the model card: `operation` and `body`.' },
    ),
  ),
  timeoutMs: integer(
    { min: 1, max: 3_600_000, default: 30_000 },
    'ms',
    'Default deadline of a request, and the longest deadline that a request may set.',
    'If the answer is a stream, this is the longest wait for its first part; see `stream`.',
  ),
  lane: advanced(
    option(z.boolean().optional(), {
      description:
        'Gives the model an MQTT session of its own, so that its long calls do not delay other models.',
      details:
        'Meant for calls that take minutes, and for streams: the call of a stream lasts until the last part. The default does not depend on `stream.timeoutMs`, because most streams are short. The session has its own client identifier and subscriptions, and therefore its own order of acknowledgements. The broker delivers each request for the model twice, once on each session.',
      defaultText: `\`true\` if \`timeoutMs\` is above ${LANE_TIMEOUT_MS}`,
    }),
  ),
  limits: limits.prefault({}),
  batching,
  stream: stream.prefault({}),
  retry: retry.prefault({}),
  circuit: circuit.prefault({}),
  repeatable: advanced(
    option(z.boolean().default(true), {
      description:
        'Whether a request may be executed twice after a crash; use `false` for calls with side effects.',
      details: 'With `false`, a request that may have been executed is answered with `maybe_executed`.',
    }),
  ),
  errorText: advanced(
    option(
      z.enum(['none', 'first-line', 'whole'], { error: 'none, first-line or whole' }).default('first-line'),
      {
        description: "How much of a model server's error is sent to the client.",
        details:
          '`first-line` keeps the first line of each text in the body; of a Python traceback, it keeps the line with the exception. `whole` includes tracebacks and file paths. If a body is larger than 64 KiB, only the first 1000 characters of its text are used. The log always contains the beginning of the text.',
      },
    ),
  ),
  contentTypes: advanced(
    option(
      z
        .array(
          text(
            isOpaqueType,
            'a content type such as image/jpeg, in lower case and without parameters (not application/json)',
          ),
        )
        .max(16)
        .default([]),
      {
        description: `Content types of requests that are sent to the model as they are, without JSON (${OPAQUE_TITLES}).`,
        details:
          "Only a request whose Content Type exactly matches an entry is passed through; the model server receives its bytes and its type. KServe's Python server gives the bytes to the model's `preprocess` or `predict`, except that it parses `application/octet-stream` as JSON.",
      },
    ),
  ),
  passHeaders: advanced(
    option(
      z
        .array(
          text(
            isAllowableHeader,
            'a lower-case header name that may be passed (not authorization, host, content-…, x-envoy-…)',
          ),
        )
        .max(16)
        .default([]),
      { description: 'Exact lower-case names of the user properties that become HTTP headers.' },
    ),
  ),
  credential,
  tls: tls.prefault({}),
})

/** Returns whether a dialect passes bodies of content types other than JSON to the model. */
export function hasOpaqueBodies(dialect: Dialect): boolean {
  const kind: DialectKind = DIALECTS[dialect]
  return kind.hasOpaqueBodies === true
}

// RFC 6838 §4.2: a registered type has restricted names. JSON is always accepted, and its body is checked.
function isOpaqueType(value: string): boolean {
  const name = '[a-z0-9][a-z0-9!#$&^_.+-]{0,126}'
  return new RegExp(`^${name}/${name}$`).test(value) && value !== 'application/json'
}

// The maximum depth of a configuration file limits the recursion.
function isJson(value: unknown): boolean {
  if (value === undefined || value === null || ['string', 'boolean'].includes(typeof value)) return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (Array.isArray(value)) return value.every(isJson)
  return Object.getPrototypeOf(value) === Object.prototype && Object.values(value).every(isJson)
}
