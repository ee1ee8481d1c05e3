// The content of request n and of its answer. Requests come in pairs: two clients send the same Correlation Data and
// payload to the same model. Only the topic's client level and a forwarded header differ; with batching, the
// rows name their client instead. This reveals answers to the wrong client of a pair. See stream-shape.ts for
// streams.
import { createHash } from 'node:crypto'

/** The user property that the connector forwards as a header. */
export const CLIENT_HEADER = 'x-chaos-client'

/** One exposed model. */
export interface ChaosModel {
  readonly name: string
  readonly protocol: 'v1' | 'v2' | 'openai'
  readonly operation: 'predict' | 'infer' | 'chat'
  /**
   * How the model answers: `single` = with one message, `stream` = with a stream of parts, `batch` = with one
   * result for each row of a call, which several requests can share.
   */
  readonly kind: 'single' | 'stream' | 'batch'
}

/** The models; all get the same share of requests. */
export const MODELS: readonly ChaosModel[] = [
  { name: 'north', protocol: 'v1', operation: 'predict', kind: 'single' },
  { name: 'east', protocol: 'v2', operation: 'infer', kind: 'single' },
  { name: 'south', protocol: 'v1', operation: 'predict', kind: 'single' },
  { name: 'west', protocol: 'v2', operation: 'infer', kind: 'single' },
  { name: 'mill', protocol: 'v1', operation: 'predict', kind: 'batch' },
  { name: 'weir', protocol: 'v2', operation: 'infer', kind: 'batch' },
  { name: 'brook', protocol: 'openai', operation: 'chat', kind: 'stream' },
]

const CORRELATION_HEAD = 'c0de'
const LONG_EXPIRY_SECONDS = 600
/**
 * Message Expiry Interval, in seconds, of every 64th pair. It is so short that both requests can expire during an
 * outage. Such an expiry does not count as a fault.
 */
const SHORT_EXPIRY_SECONDS = 3
// Larger than a TCP segment.
const PADDING_BYTES = 2_048
// Large enough that the connector reuses the memory of the body for later requests.
const LARGE_PADDING_BYTES = 100_000

/** Returns the index of the client that sends request n; `clients` is an even number. */
export function clientOf(number: number, clients: number): number {
  return 2 * ((number >>> 1) % (clients / 2)) + (number & 1)
}

/** Returns the number of the request with which this client sends the pair's payload. */
export function numberOf(pair: number, client: number): number {
  return 2 * pair + (client & 1)
}

/** Returns the `{client}` level of the client's topics. */
export function clientName(client: number): string {
  return `chaos-${client}`
}

/** Returns the model of a request; both requests of a pair have the same model. */
export function modelOf(number: number): ChaosModel {
  return MODELS[mixed(number >>> 1) % MODELS.length]!
}

/** Returns the topic levels of a request's model and operation, such as `north/predict`. */
export function levelsOf(number: number): string {
  const { name, operation } = modelOf(number)
  return `${name}/${operation}`
}

/** Returns six bytes that identify the pair. */
export function correlationOf(number: number): Buffer {
  const bytes = Buffer.from(`${CORRELATION_HEAD}00000000`, 'hex')
  bytes.writeUInt32BE(number >>> 1, 2)
  return bytes
}

/** Returns the pair that Correlation Data identifies; undefined = not from this run. */
export function pairOf(correlation: string): number | undefined {
  if (correlation.length !== 12 || !correlation.startsWith(CORRELATION_HEAD)) return undefined
  return Number.parseInt(correlation.slice(4), 16)
}

/** Returns the Message Expiry Interval in seconds. */
export function expirySecondsOf(number: number): number {
  return (number >>> 1) % 64 === 63 ? SHORT_EXPIRY_SECONDS : LONG_EXPIRY_SECONDS
}

/**
 * Returns the body of a request; some are larger than a TCP segment, and a few have 100 KB. The bodies of a pair are equal
 * except with batching: the rows then name their client, because requests with different headers share no calls.
 */
export function payloadOf(number: number, client: number): string {
  const pair = number >>> 1
  const padding = paddingOf(pair)
  const { protocol, kind, name } = modelOf(number)
  if (kind === 'stream') {
    return `{"model":"${name}","stream":true,"messages":[{"role":"user","content":"${pair}"}],"padding":"${padding}"}`
  }
  if (kind === 'batch') return rowsBody(protocol, rowsOf(pair, client, padding))
  return protocol === 'v1'
    ? `{"instances":[[${pair}]],"parameters":{"padding":"${padding}"}}`
    : `{"inputs":[{"name":"x","datatype":"INT64","shape":[1],"data":[${pair}]}],"parameters":{"padding":"${padding}"}}`
}

function paddingOf(pair: number): string {
  const bytes = pair % 128 === 21 ? LARGE_PADDING_BYTES : pair % 16 === 5 ? PADDING_BYTES : 0
  // A part of another request's body changes the digest.
  const unit = `${pair}.`
  return unit.repeat(bytes / unit.length)
}

// Every fourth request has two rows.
function rowsOf(pair: number, client: number, padding: string): string[] {
  return Array.from(
    { length: pair % 4 === 0 ? 2 : 1 },
    (_, row) => `${clientName(client)} ${pair} ${row} ${padding}`,
  )
}

function rowsBody(protocol: ChaosModel['protocol'], rows: readonly string[]): string {
  const data = JSON.stringify(rows)
  return protocol === 'v1'
    ? `{"instances":${data}}`
    : `{"inputs":[{"name":"x","datatype":"BYTES","shape":[${rows.length}],"data":${data}}]}`
}

/** Returns the rows of a call with batching. @throws SyntaxError or TypeError if the body has no rows */
export function rowsInBody(body: string): string[] {
  const { instances, inputs } = JSON.parse(body) as {
    instances?: string[]
    inputs?: { data: string[] }[]
  }
  return instances ?? inputs![0]!.data
}

/** Returns the number of the request that a row belongs to; undefined = not from this run. */
export function numberOfRow(row: string): number | undefined {
  const found = /^chaos-(\d+) (\d+) /.exec(row)
  return found === null ? undefined : numberOf(Number(found[2]), Number(found[1]))
}

/** Returns the model's answer to the rows of a call. */
export function answerToRows(
  protocol: ChaosModel['protocol'],
  model: string,
  rows: readonly string[],
): string {
  const digests = JSON.stringify(rows.map((row) => digestOf(row)))
  return protocol === 'v1'
    ? `{"predictions":${digests}}`
    : `{"model_name":"${model}","outputs":[{"name":"digest","datatype":"BYTES","shape":[${rows.length}],"data":${digests}}]}`
}

/** Returns the pair that a body identifies; undefined = not from this run. */
export function pairInBody(body: string): number | undefined {
  const found = /^\{"(?:instances":\[\[|inputs":.*?"data":\[|model":.*?"content":")(\d+)["\]]/.exec(body)
  return found === null ? undefined : Number(found[1])
}

/** Returns the model's response time in milliseconds. It varies, so that answers overtake one another. */
export function thinkingMs(pair: number): number {
  return mixed(pair * 7 + 1) % 12
}

/** Returns the model's answer to this body from this client. */
export function answerTo(protocol: 'v1' | 'v2', model: string, client: string, body: string): string {
  const digest = digestOf(`${client} ${body}`)
  return protocol === 'v1'
    ? `{"predictions":["${digest}"]}`
    : `{"model_name":"${model}","outputs":[{"name":"digest","datatype":"BYTES","shape":[1],"data":["${digest}"]}]}`
}

/** Returns the body of the correct answer to request n; for a stream, the body of its final message. */
export function expectedAnswer(number: number, client: number): string {
  const { protocol, name, kind } = modelOf(number)
  const payload = payloadOf(number, client)
  if (protocol === 'openai') return '[DONE]'
  if (kind === 'batch') return answerToRows(protocol, name, rowsInBody(payload))
  return answerTo(protocol, name, clientName(client), payload)
}

function digestOf(text: string): string {
  return createHash('sha1').update(text).digest('hex')
}

function mixed(value: number): number {
  return Math.imul(value, 0x9e3779b1) >>> 12
}
