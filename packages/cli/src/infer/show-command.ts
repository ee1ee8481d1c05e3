// Builds the equivalent command line for mosquitto_rr or curl.
import { operationRoute, OPERATIONS, type Dialect, type OperationName } from '@inferwire/protocol'
import { BROKER_ENV, portOf, type BrokerTarget } from '../broker-flags.ts'
import { CliError, usageError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { shellLine, ShellSource } from '../shell-quote.ts'
import type { RequestBody } from './request-body.ts'

// Linux limits one argument of a command to 128 KiB.
const WORD_BYTES_MAX = 120_000

/** A request to print as a command. */
export interface ShownRequest {
  readonly target: BrokerTarget
  readonly model: string
  readonly operation: OperationName | undefined
  readonly body: RequestBody | undefined
  readonly contentType: string | undefined
  /** User properties by name. */
  readonly headers?: Readonly<Record<string, string>>
  /** Only for MQTT: the user property `priority`, and the Message Expiry Interval that -D sets. */
  readonly priority?: string | undefined
  readonly expirySeconds?: number | undefined
}

/**
 * Returns the command that sends the request with mosquitto_rr. It does not contain the password; the shell reads it.
 * @throws CliError if mosquitto_rr cannot send the request
 */
export function mosquittoLine(request: ShownRequest): string {
  const { target, model, operation, body, contentType, headers = {}, priority, expirySeconds } = request
  const { url, topics, identity, mqttVersion } = target
  if (url.protocol === 'ws:' || url.protocol === 'wss:') {
    throw usageError(
      'mosquitto_rr does not support WebSocket',
      "Use the broker's TCP listener: -h HOST -p PORT.",
    )
  }
  const topic = topics.request(identity, model, operation)
  const words: (string | ShellSource)[] = [
    'mosquitto_rr',
    '-h',
    bare(url.hostname),
    '-p',
    String(portOf(url)),
  ]
  if (url.protocol === 'mqtts:') {
    words.push(...(target.caFile === undefined ? ['--tls-use-os-certs'] : ['--cafile', target.caFile]))
  }
  if (target.username !== undefined) words.push('-u', target.username)
  if (target.password !== undefined) words.push('-P', passwordSource(target))
  words.push(
    '-V',
    mqttVersion === 5 ? '5' : '311',
    '-q',
    '1',
    '-W',
    String(Math.ceil(target.timeoutMs / 1_000)),
  )
  if (contentType !== undefined) words.push('-D', 'publish', 'content-type', contentType)
  if (expirySeconds !== undefined) {
    words.push('-D', 'publish', 'message-expiry-interval', String(expirySeconds))
  }
  // The priority precedes the other user properties, as in a request that `inferwire infer` sends.
  const properties = priority === undefined ? [] : [['priority', priority]]
  for (const [name, value] of [...properties, ...Object.entries(headers)]) {
    words.push('-D', 'publish', 'user-property', name!, value!)
  }
  // mosquitto_rr subscribes to the topic after -e and, with MQTT 5, also sends it as the Response Topic. The
  // printed command uses the default reply topic.
  words.push('-t', topic, '-e', topics.replyTopicOf(topic)!)
  if (body === undefined || body.bytes.length === 0) words.push('-n')
  else words.push('-m', messageWord(body))
  return shellLine(words)
}

/** Returns the curl command that sends the request directly to the model server. `dialect` must have the operation. */
export function curlLine(
  { model, body, contentType, headers = {} }: ShownRequest,
  operation: OperationName,
  dialect: Dialect,
  serverUrl: string,
): string {
  const [name = model, version] = model.split('@')
  const { path } = operationRoute(operation, dialect, name, version)!
  const words = ['curl', '-sS', `${serverUrl.replace(/\/+$/, '')}${path}`]
  for (const [name, value] of Object.entries(headers)) words.push('-H', `${name}: ${value}`)
  if (OPERATIONS[operation].hasBody && body !== undefined) {
    words.push('-H', `content-type: ${contentType ?? 'application/json'}`)
    if (body.file === undefined) words.push('--data-raw', textOf(body))
    else words.push('--data-binary', `@${body.file}`)
  }
  return shellLine(words)
}

// mosquitto_rr 2.0.11 publishes nothing with -f or -s, so the shell reads the file for -m.
function messageWord(body: RequestBody): string | ShellSource {
  const text = textOf(body)
  return body.file === undefined ? text : new ShellSource(`"$(cat < ${shellLine([body.file])})"`)
}

function textOf(body: RequestBody): string {
  const text = decoded(body.bytes)
  if (text !== undefined && body.bytes.length <= WORD_BYTES_MAX) return text
  const why = text === undefined ? 'is not text' : `is larger than ${WORD_BYTES_MAX} bytes`
  throw new CliError(
    EXIT.badInput,
    `the body ${why}, so it cannot be part of a command line`,
    'For curl, use -f FILE. To send the body over MQTT, omit --show.',
  )
}

function decoded(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    return text.includes('\0') ? undefined : text
  } catch {
    return undefined
  }
}

function passwordSource({ passwordFile }: BrokerTarget): ShellSource {
  return new ShellSource(
    passwordFile === undefined ? `"$${BROKER_ENV.password}"` : `"$(cat < ${shellLine([passwordFile])})"`,
  )
}

// Mosquitto's tools expect IPv6 addresses without the brackets of a URL.
function bare(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1')
}
