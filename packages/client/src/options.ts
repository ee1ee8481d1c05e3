// What can be said to connect() and infer(), and what is assumed where nothing is said.
import {
  hasPemPrivateKey,
  isCleanLevel,
  pemCertificates,
  TopicSpace,
  type OperationName,
} from '@inferwire/protocol'
import type { DialTarget } from './transport.ts'

/** How to connect. */
export interface ConnectOptions {
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** MQTT client identifier. @default a random one */
  readonly clientId?: string | undefined
  /** The `{client}` level of the topics. @default the user name, else the client identifier */
  readonly identity?: string | undefined
  /** The first levels of all topics. @default 'infer' */
  readonly root?: string | undefined
  /** MQTT version. @default 5 */
  readonly mqttVersion?: 5 | '3.1.1' | undefined
  /** How long the first connection may take, and each later attempt, in milliseconds. @default 10000 */
  readonly connectTimeoutMs?: number | undefined
  /** Seconds between signs of life; a silent connection is given up after 1.5 times that. @default 15 */
  readonly keepAliveSeconds?: number | undefined
  /** Requests that may wait for their answer at once; more are refused with `overloaded`. @default 1024 */
  readonly inFlightMax?: number | undefined
  /** Certificate authorities to trust instead of the system's, in PEM (mqtts, wss). */
  readonly ca?: string | Uint8Array | undefined
  /** Client certificate in PEM, together with `key`. */
  readonly cert?: string | Uint8Array | undefined
  readonly key?: string | Uint8Array | undefined
  /** false takes any server certificate: for tests only, the password can be stolen. @default true */
  readonly rejectUnauthorized?: boolean | undefined
}

/** How to ask. */
export interface InferOptions {
  /**
   * The operation level of the topic. @default `predict` for a JSON body with `instances`, `infer` for one with
   * `inputs`; else on MQTT 5 the default of the model's card
   */
  readonly operation?: OperationName | (string & {}) | undefined
  /** The deadline, in milliseconds from now; the connector and the model server are told. @default 30000 */
  readonly timeoutMs?: number | undefined
  /** Gives the request up: `cancelled`. */
  readonly signal?: AbortSignal | undefined
  /** Of the body. @default application/json */
  readonly contentType?: string | undefined
  /** Sent as user properties; the connector passes on what its configuration allows. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /**
   * The request is sent again with the same Correlation Data when no reply came for so long; then the wait doubles.
   * After a lost connection it is always sent again. Infinity turns the timed repeats off. @default 5000
   */
  readonly repeatAfterMs?: number | undefined
  /** Waits for a connector until the deadline, instead of failing at once with `no_connector`. @default false */
  readonly waitForConnector?: boolean | undefined
}

/** connect()'s arguments, resolved. */
export interface Settings {
  readonly target: DialTarget
  readonly identity: string
  readonly topics: TopicSpace
  readonly inFlightMax: number
}

/** Longest time that a timer can wait, in milliseconds (a signed 32-bit number). */
export const TIMEOUT_MAX_MS = 2_147_483_647
/** More QoS 1 messages than this have no packet identifiers left (MQTT 5 §2.2.1). */
const IN_FLIGHT_LIMIT = 60_000
const LOGIN_BYTES_MAX = 65_535
const PROTOCOLS = ['mqtt:', 'mqtts:', 'ws:', 'wss:']

/** Resolves the arguments of connect(). @throws TypeError that names the option and what was expected */
export function resolveSettings(brokerUrl: string | URL, options: ConnectOptions): Settings {
  const url = parseUrl(brokerUrl)
  const isTls = url.protocol === 'mqtts:' || url.protocol === 'wss:'
  const { ca, cert, key, mqttVersion = 5, clientId = randomClientId() } = options
  if (!isTls && (ca !== undefined || cert !== undefined || key !== undefined)) {
    throw new TypeError(`ca, cert and key need TLS: use mqtts:// or wss:// instead of ${url.protocol}//.`)
  }
  if ((cert === undefined) !== (key === undefined)) throw new TypeError('cert and key belong together.')
  if (mqttVersion !== 5 && mqttVersion !== '3.1.1') {
    throw new TypeError(`mqttVersion is ${JSON.stringify(mqttVersion)}; expected 5 or "3.1.1".`)
  }
  checkPem('ca', ca, hasCertificate, 'certificate')
  checkPem('cert', cert, hasCertificate, 'certificate')
  checkPem('key', key, hasPemPrivateKey, 'private key')
  const username = options.username ?? (decoded(url.username, 'user name') || undefined)
  const password = options.password ?? (decoded(url.password, 'password') || undefined)
  checkLogin('username', username)
  checkLogin('password', password)
  url.username = ''
  url.password = ''
  const identity = options.identity ?? username ?? clientId
  if (!isCleanLevel(identity)) {
    throw new TypeError(
      `identity "${identity}" cannot be a topic level: use a name without "/", "+", "#" and control characters.`,
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
    },
    identity,
    topics: new TopicSpace(options.root ?? 'infer'),
    inFlightMax: within('inFlightMax', options.inFlightMax ?? 1_024, 1, IN_FLIGHT_LIMIT),
  }
}

/** A duration that a timer can wait. @throws TypeError */
export function milliseconds(name: string, value: number): number {
  if (typeof value === 'number' && value > 0 && value <= TIMEOUT_MAX_MS) return value
  throw new TypeError(`${name} is ${value}; expected milliseconds above 0, at most ${TIMEOUT_MAX_MS}.`)
}

/** Random bytes as lower-case hexadecimal digits. */
export function randomHex(bytes: number): string {
  return toHex(crypto.getRandomValues(new Uint8Array(bytes)))
}

/** Bytes as lower-case hexadecimal digits. */
export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}

// Node.js takes text without a certificate, and then trusts nobody.
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

// MQTT 5 §1.5.4 and §1.5.6: two bytes say the length; a user name is a UTF-8 string, and has no NUL.
function checkLogin(name: 'username' | 'password', value: string | undefined): void {
  if (value === undefined) return
  if (new TextEncoder().encode(value).length > LOGIN_BYTES_MAX) {
    throw new TypeError(`${name} is longer than the ${LOGIN_BYTES_MAX} bytes that MQTT carries.`)
  }
  if (name === 'username' && value.includes('\0')) throw new TypeError('username has a NUL.')
}

// The text is not repeated: it may be a password.
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
      'The broker URL goes on after host and port: in a user name or password write / as %2F, ? as %3F and # as %23.',
    )
  }
  // The text is not repeated: it may hold a password.
  throw new TypeError(
    'The broker URL is not valid: use one like mqtt://127.0.0.1:1883 (mqtt, mqtts, ws or wss).',
  )
}

// Where a password has a bare slash, what is in front of it was taken for host and port. Only WebSocket has paths.
function hasMore({ protocol, pathname, search, hash }: URL): boolean {
  if (hash !== '') return true
  return protocol.startsWith('mqtt') && `${pathname}${search}`.replace('/', '') !== ''
}

// 23 bytes or fewer: what every MQTT 3.1.1 broker must take (§3.1.3.1).
function randomClientId(): string {
  return `inferwire-${randomHex(6)}`
}

function within(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new TypeError(`${name} is ${value}; expected a whole number from ${min} to ${max}.`)
}
