// The options of connect() and infer(), their checks and their defaults.
import {
  hasPemPrivateKey,
  isCleanLevel,
  pemCertificates,
  TopicSpace,
  type OperationName,
} from '@inferwire/protocol'
import type { StreamBounds } from './infer-stream.ts'
import type { DialTarget } from './transport.ts'

/** The options of `connect()`. */
export interface ConnectOptions {
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** MQTT client identifier. @default a random identifier */
  readonly clientId?: string | undefined
  /** The `{client}` level of the topics. @default the user name, or the client identifier if there is no user name */
  readonly identity?: string | undefined
  /** The first level (or levels) of all topics. @default 'infer' */
  readonly root?: string | undefined
  /** MQTT version. @default 5 */
  readonly mqttVersion?: 5 | '3.1.1' | undefined
  /** Time limit of each connection attempt, in milliseconds. @default 10000 */
  readonly connectTimeoutMs?: number | undefined
  /** MQTT Keep Alive, in seconds; a silent connection is closed after 1.5 times this period. @default 15 */
  readonly keepAliveSeconds?: number | undefined
  /**
   * Time for which the broker keeps the client's session after a lost connection, in seconds. Streams then continue on
   * the next connection. Requires MQTT 5. @default 0: streams end with `stream_interrupted`
   */
  readonly sessionExpirySeconds?: number | undefined
  /** Maximum number of requests in flight; further requests fail with `overloaded`. @default 1024 */
  readonly inFlightMax?: number | undefined
  /** PEM certificates of the authorities to trust instead of the system's (mqtts, wss). */
  readonly ca?: string | Uint8Array | undefined
  /** Client certificate in PEM; requires `key`. */
  readonly cert?: string | Uint8Array | undefined
  readonly key?: string | Uint8Array | undefined
  /** false accepts any broker certificate. For tests only: the password can be intercepted. @default true */
  readonly rejectUnauthorized?: boolean | undefined
}

/** The options of `infer()`. */
export interface InferOptions {
  /**
   * The operation level of the topic. @default `predict` for a JSON body with `instances`, `infer` for a JSON body with
   * `inputs`; otherwise, on MQTT 5, the default operation in the model's card
   */
  readonly operation?: OperationName | (string & {}) | undefined
  /** The deadline, in milliseconds from now; it is passed to the connector and the model server. @default 30000 */
  readonly timeoutMs?: number | undefined
  /** An abort cancels the request, which fails with `cancelled`. */
  readonly signal?: AbortSignal | undefined
  /** Content type of the body. @default application/json */
  readonly contentType?: string | undefined
  /** Headers sent as user properties; the connector forwards those that its configuration allows. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /**
   * Time without a reply after which the request is resent with the same Correlation Data, in milliseconds. This
   * time doubles after each repeat. After a lost connection the request is always resent. Infinity disables timed
   * repeats.
   * @default 5000
   */
  readonly repeatAfterMs?: number | undefined
  /** Whether to wait for a connector until the deadline instead of failing with `no_connector`. @default false */
  readonly waitForConnector?: boolean | undefined
  /** The priority of the request, 0 to 9, as far as the connector's policy allows it (MQTT 5). @default 4 */
  readonly priority?: string | number | undefined
  /** How long the connector may collect parts of a stream into one message, in milliseconds, at most 10000 (MQTT 5). */
  readonly coalesceMs?: number | undefined
}

/** The options of `stream()`. */
export interface StreamOptions extends Omit<InferOptions, 'operation' | 'repeatAfterMs'> {
  /** The deadline of the whole stream, in milliseconds from now. @default 600000 */
  readonly timeoutMs?: number | undefined
  /** Longest time between two parts, in milliseconds. The first part may take until the deadline. @default 60000 */
  readonly idleTimeoutMs?: number | undefined
  /**
   * Maximum number of parts that wait to be read; if there are more, the stream ends with `overloaded`.
   * @default 4096
   */
  readonly partsMax?: number | undefined
  /** Maximum size of the parts that wait to be read, in bytes. @default 16777216 */
  readonly bufferBytesMax?: number | undefined
}

/** The resolved arguments of connect(). */
export interface Settings {
  readonly target: DialTarget
  readonly identity: string
  readonly topics: TopicSpace
  readonly inFlightMax: number
}

/** Default of `StreamOptions.timeoutMs`, which also applies to whole answers of language models. */
export const STREAM_TIMEOUT_DEFAULT_MS = 600_000
/** Longest delay of a timer, in milliseconds (a signed 32-bit number). */
export const TIMEOUT_MAX_MS = 2_147_483_647
// Leaves some of the 65,535 packet identifiers free (MQTT 5 §2.2.1).
const IN_FLIGHT_LIMIT = 60_000
/** Longest Session Expiry Interval with which a session still expires (MQTT 5 §3.1.2.11.2), in seconds. */
export const SESSION_EXPIRY_MAX_SECONDS = 0xffff_fffe
const LOGIN_BYTES_MAX = 65_535
const PROTOCOLS = ['mqtt:', 'mqtts:', 'ws:', 'wss:']

/** Resolves the arguments of connect(). @throws TypeError that names the option and the expected value */
export function resolveSettings(brokerUrl: string | URL, options: ConnectOptions): Settings {
  const url = parseUrl(brokerUrl)
  const isTls = url.protocol === 'mqtts:' || url.protocol === 'wss:'
  const { ca, cert, key, mqttVersion = 5, clientId = randomClientId() } = options
  if (!isTls && (ca !== undefined || cert !== undefined || key !== undefined)) {
    throw new TypeError(`ca, cert and key need TLS: use mqtts:// or wss:// instead of ${url.protocol}//.`)
  }
  if ((cert === undefined) !== (key === undefined)) throw new TypeError('cert and key must be set together.')
  if (Object.hasOwn(options, 'protocolVersion')) {
    throw new TypeError('protocolVersion is not an option; use mqttVersion, which is 5 or "3.1.1".')
  }
  if (mqttVersion !== 5 && mqttVersion !== '3.1.1') {
    throw new TypeError(`mqttVersion is ${JSON.stringify(mqttVersion)}; expected 5 or "3.1.1".`)
  }
  checkPem('ca', ca, hasCertificate, 'certificate')
  checkPem('cert', cert, hasCertificate, 'certificate')
  checkPem('key', key, hasPemPrivateKey, 'private key')
  const sessionExpirySeconds = sessionExpiry(options)
  const username = options.username ?? (decoded(url.username, 'user name') || undefined)
  const password = options.password ?? (decoded(url.password, 'password') || undefined)
  checkLogin('username', username)
  checkLogin('password', password)
  url.username = ''
  url.password = ''
  const identity = options.identity ?? username ?? clientId
  if (!isCleanLevel(identity)) {
    throw new TypeError(
      `identity "${identity}" cannot be a topic level: use a name without "/", "+", "#" or control characters.`,
    )
  }
  return {
    target: {
      url,
      protocolVersion: mqttVersion === 5 ? 5 : 4,
      clientId,
      username,
      password,
      ca,
      cert,
      key,
      rejectUnauthorized: options.rejectUnauthorized ?? true,
      connectTimeoutMs: milliseconds('connectTimeoutMs', options.connectTimeoutMs ?? 10_000),
      keepAliveSeconds: within('keepAliveSeconds', options.keepAliveSeconds ?? 15, 1, 65_535),
      sessionExpirySeconds,
      // Mosquitto 2.0 saves a session on disk only if it began without Clean Start. A random client identifier has
      // no earlier session. Any other identifier may have an earlier session with old subscriptions.
      isCleanStart: sessionExpirySeconds === 0 || options.clientId !== undefined,
    },
    identity,
    topics: new TopicSpace(options.root ?? 'infer'),
    inFlightMax: within('inFlightMax', options.inFlightMax ?? 1_024, 1, IN_FLIGHT_LIMIT),
  }
}

/** Checks that a timer can wait for `value` milliseconds. @throws TypeError that mentions `name` */
export function milliseconds(name: string, value: number): number {
  if (typeof value === 'number' && value > 0 && value <= TIMEOUT_MAX_MS) return value
  throw new TypeError(
    `${name} is ${shown(value)}; expected a number of milliseconds above 0 and up to ${TIMEOUT_MAX_MS}.`,
  )
}

/** Returns the limits of the parts that wait to be read. @throws TypeError for invalid options */
export function streamBounds({
  partsMax = 4_096,
  bufferBytesMax = 16 * 1024 * 1024,
}: StreamOptions): StreamBounds {
  return {
    partsMax: within('partsMax', partsMax, 1, Number.MAX_SAFE_INTEGER),
    bufferBytesMax: within('bufferBytesMax', bufferBytesMax, 1, Number.MAX_SAFE_INTEGER),
  }
}

/** Returns random bytes as lower-case hexadecimal digits. */
export function randomHex(bytes: number): string {
  return toHex(crypto.getRandomValues(new Uint8Array(bytes)))
}

/** Converts bytes to lower-case hexadecimal digits. */
export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}

function sessionExpiry({ sessionExpirySeconds = 0, mqttVersion }: ConnectOptions): number {
  if (sessionExpirySeconds > 0 && mqttVersion === '3.1.1') {
    throw new TypeError('sessionExpirySeconds requires MQTT 5 (mqttVersion: 5).')
  }
  return within('sessionExpirySeconds', sessionExpirySeconds, 0, SESSION_EXPIRY_MAX_SECONDS)
}

// Node.js accepts text without a certificate, and then rejects every broker.
function checkPem(
  name: string,
  pem: string | Uint8Array | undefined,
  isGood: (text: string) => boolean,
  what: string,
): void {
  if (pem === undefined) return
  const text = typeof pem === 'string' ? pem : new TextDecoder('latin1').decode(pem)
  if (!isGood(text)) throw new TypeError(`${name} has no ${what} in PEM.`)
}

function hasCertificate(text: string): boolean {
  return pemCertificates(text).length > 0
}

// MQTT 5 §1.5.4 and §1.5.6: the length field has two bytes, and a user name is a UTF-8 string without NUL.
function checkLogin(name: 'username' | 'password', value: string | undefined): void {
  if (value === undefined) return
  if (new TextEncoder().encode(value).length > LOGIN_BYTES_MAX) {
    throw new TypeError(`${name} is longer than ${LOGIN_BYTES_MAX} bytes, MQTT's limit.`)
  }
  if (name === 'username' && value.includes('\0')) throw new TypeError('username contains a NUL character.')
}

// The message does not repeat the text, which may be a password.
function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new TypeError(
      `The ${what} in the broker URL is not valid percent-encoding: write % as %25, or use the options.`,
    )
  }
}

function parseUrl(brokerUrl: string | URL): URL {
  const text = String(brokerUrl)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && PROTOCOLS.includes(url.protocol) && url.hostname !== '') {
    if (!hasMore(url)) return url
    throw new TypeError(
      'The broker URL has a path, query or fragment after host and port: in a user name or password, write / as %2F, ? as %3F and # as %23.',
    )
  }
  // The message does not repeat the text, which may contain a password.
  throw new TypeError(
    'The broker URL is not valid: use a URL such as mqtt://127.0.0.1:1883 (mqtt, mqtts, ws or wss).',
  )
}

// If a password contains an unencoded slash, the text before it looks like a host and port. Only WebSocket URLs have paths.
function hasMore({ protocol, pathname, search, hash }: URL): boolean {
  if (hash !== '') return true
  return protocol.startsWith('mqtt') && `${pathname}${search}`.replace('/', '') !== ''
}

// Returns an identifier of at most 23 bytes, which every MQTT 3.1.1 broker must accept (§3.1.3.1).
function randomClientId(): string {
  return `inferwire-${randomHex(6)}`
}

// Text is quoted, because "5" and 5 would look the same.
function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value)
}

/** Checks a whole number. @throws TypeError that mentions `name` */
export function within(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new TypeError(`${name} is ${shown(value)}; expected a whole number from ${min} to ${max}.`)
}
