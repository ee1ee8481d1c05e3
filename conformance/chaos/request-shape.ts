// The content of request n and of its answer. Requests come in pairs: two clients send the same Correlation Data and
// payload to the same model. Only the client level and a forwarded header differ, so an answer that goes to the wrong
// client of the pair is detected.
import { createHash } from 'node:crypto'

/** The user property that the connector forwards as a header. */
export const CLIENT_HEADER = 'x-chaos-client'

/** One exposed model. */
export interface ChaosModel {
  readonly name: string
  readonly protocol: 'v1' | 'v2'
}

/** The models; all get the same share of requests. */
export const MODELS: readonly ChaosModel[] = [
  { name: 'north', protocol: 'v1' },
  { name: 'east', protocol: 'v2' },
  { name: 'south', protocol: 'v1' },
  { name: 'west', protocol: 'v2' },
]

const CORRELATION_HEAD = 'c0de'
const LONG_EXPIRY_SECONDS = 600
/**
 * Message Expiry Interval, in seconds, of every 64th pair. It is so short that both requests may expire in an outage,
 * which does not count as a fault.
 */
const SHORT_EXPIRY_SECONDS = 3
const PADDING = 'x'.repeat(2048)

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
  const { name, protocol } = modelOf(number)
  return `${name}/${operationOf(protocol)}`
}

/** Returns the operation of the requests to a model. */
export function operationOf(protocol: 'v1' | 'v2'): 'predict' | 'infer' {
  return protocol === 'v1' ? 'predict' : 'infer'
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

/** Returns the body of both requests of a pair; every sixteenth body is larger than a TCP segment. */
export function payloadOf(number: number): string {
  const pair = number >>> 1
  const padding = pair % 16 === 5 ? PADDING : ''
  return modelOf(number).protocol === 'v1'
    ? `{"instances":[[${pair}]],"parameters":{"padding":"${padding}"}}`
    : `{"inputs":[{"name":"x","datatype":"INT64","shape":[1],"data":[${pair}]}],"parameters":{"padding":"${padding}"}}`
}

/** Returns the pair that a body identifies; undefined = not from this run. */
export function pairInBody(body: string): number | undefined {
  const found = /^\{"(?:instances":\[\[|inputs":.*?"data":\[)(\d+)\]/.exec(body)
  return found === null ? undefined : Number(found[1])
}

/** Returns the model's response time in milliseconds. It varies, so that answers overtake one another. */
export function thinkingMs(pair: number): number {
  return mixed(pair * 7 + 1) % 12
}

/** Returns the model's answer to this body from this client. */
export function answerTo(protocol: 'v1' | 'v2', model: string, client: string, body: string): string {
  const digest = createHash('sha1').update(`${client} ${body}`).digest('hex')
  return protocol === 'v1'
    ? `{"predictions":["${digest}"]}`
    : `{"model_name":"${model}","outputs":[{"name":"digest","datatype":"BYTES","shape":[1],"data":["${digest}"]}]}`
}

/** Returns the body of the correct answer to request n. */
export function expectedAnswer(number: number, client: number): string {
  const { protocol, name } = modelOf(number)
  return answerTo(protocol, name, clientName(client), payloadOf(number))
}

function mixed(value: number): number {
  return Math.imul(value, 0x9e3779b1) >>> 12
}
