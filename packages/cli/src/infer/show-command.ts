// The same request in other tools' words: a line for mosquitto_rr, a line for curl.
import { OPERATIONS, type OperationName } from '@inferwire/protocol'
import { BROKER_ENV, portOf, type BrokerTarget } from '../broker-flags.ts'
import { CliError, usageError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { shellLine, ShellSource } from '../shell-quote.ts'
import { upstreamPath } from '../upstream-path.ts'
import type { RequestBody } from './request-body.ts'

/** A request to show. */
export interface ShownRequest {
  readonly target: BrokerTarget
  readonly model: string
  readonly operation: OperationName | undefined
  readonly body: RequestBody | undefined
  readonly contentType: string | undefined
}

/**
 * The line that sends the request with mosquitto_rr. A password is not in it: the shell reads it.
 * @throws CliError where mosquitto_rr cannot do it
 */
export function mosquittoLine({ target, model, operation, body, contentType }: ShownRequest): string {
  const { url, topics, identity, mqttVersion } = target
  if (url.protocol === 'ws:' || url.protocol === 'wss:') {
    throw usageError(
      'mosquitto_rr does not speak WebSocket',
      "Show it for the broker's TCP listener: -h HOST -p PORT.",
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
  if (url.protocol === 'mqtts:') words.push('--tls-use-os-certs')
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
  if (mqttVersion === 5 && contentType !== undefined) words.push('-D', 'publish', 'content-type', contentType)
  // -e is the Response Topic and is subscribed to; without MQTT 5 it is the default reply topic all the same.
  words.push('-t', topic, '-e', topics.replyTopicOf(topic)!)
  if (body === undefined || body.bytes.length === 0) words.push('-n')
  else if (body.file === undefined) words.push('-m', textOf(body))
  else words.push('-f', body.file)
  return shellLine(words)
}

/** The line that asks the model server itself with curl. */
export function curlLine(
  { model, body, contentType }: ShownRequest,
  operation: OperationName,
  protocol: 'v1' | 'v2',
  serverUrl: string,
): string {
  const [name = model, version] = model.split('@')
  const path = upstreamPath(name, version, operation, protocol)
  const words = ['curl', '-sS', `${serverUrl.replace(/\/+$/, '')}${path}`]
  if (OPERATIONS[operation].hasBody && body !== undefined) {
    words.push('-H', `content-type: ${contentType ?? 'application/json'}`)
    if (body.file === undefined) words.push('--data-raw', textOf(body))
    else words.push('--data-binary', `@${body.file}`)
  }
  return shellLine(words)
}

function textOf(body: RequestBody): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body.bytes)
  } catch (error) {
    throw new CliError(
      EXIT.badInput,
      'the body is not text and cannot stand in a command line',
      'Give it as a file with -f: the line then names the file.',
      { cause: error },
    )
  }
}

function passwordSource({ passwordFile }: BrokerTarget): ShellSource {
  return new ShellSource(
    passwordFile === undefined ? `"$${BROKER_ENV.password}"` : `"$(cat ${shellLine([passwordFile])})"`,
  )
}

// A URL writes IPv6 addresses in brackets, mosquitto's tools do not.
function bare(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1')
}
