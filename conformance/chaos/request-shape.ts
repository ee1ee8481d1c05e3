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
/** One in 64 pairs has this short expiry; it may expire in an outage, which is not a fault. Seconds. */
const SHORT_EXPIRY_SECONDS = 3
const PADDING = 'x'.repeat(2048)

/** Index of the client that sends request n; `clients` is an even number. */
export function clientOf(number: number, clients: number): number {
  return 2 * ((number >>> 1) % (clients / 2)) + (number & 1)
}

/** Number of the request that this client sends with the payload of this pair. */
export function numberOf(pair: number, client: number): number {
  return 2 * pair + (client & 1)
}

/** The `{client}` level of its topics. */
export function clientName(client: number): string {
  return `chaos-${client}`
}

/** The model of a pair of requests. */
export function modelOf(number: number): ChaosModel {
  return MODELS[mixed(number >>> 1) % MODELS.length]!
}

/** `north/predict` */
export function levelsOf(number: number): string {
  const { name, protocol } = modelOf(number)
  return `${name}/${operationOf(protocol)}`
}

/** The operation of the requests to a model. */
export function operationOf(protocol: 'v1' | 'v2'): 'predict' | 'infer' {
  return protocol === 'v1' ? 'predict' : 'infer'
}

/** Six bytes that identify the pair. */
export function correlationOf(number: number): Buffer {
  const bytes = Buffer.from(`${CORRELATION_HEAD}00000000`, 'hex')
  bytes.writeUInt32BE(number >>> 1, 2)
  return bytes
}

/** The pair that Correlation Data identifies; undefined = not of this run. */
export function pairOf(correlation: string): number | undefined {
  if (correlation.length !== 12 || !correlation.startsWith(CORRELATION_HEAD)) return undefined
  return Number.parseInt(correlation.slice(4), 16)
}

/** Message Expiry Interval in seconds. */
export function expirySecondsOf(number: number): number {
  return (number >>> 1) % 64 === 63 ? SHORT_EXPIRY_SECONDS : LONG_EXPIRY_SECONDS
}

/** The body of both requests of a pair; every sixteenth is larger than a TCP segment. */
export function payloadOf(number: number): string {
  const pair = number >>> 1
  const padding = pair % 16 === 5 ? PADDING : ''
  return modelOf(number).protocol === 'v1'
    ? `{"instances":[[${pair}]],"parameters":{"padding":"${padding}"}}`
    : `{"inputs":[{"name":"x","datatype":"INT64","shape":[1],"data":[${pair}]}],"parameters":{"padding":"${padding}"}}`
}

/** The pair that a body identifies; undefined = not of this run. */
export function pairInBody(body: string): number | undefined {
  const found = /^\{"(?:instances":\[\[|inputs":.*?"data":\[)(\d+)\]/.exec(body)
  return found === null ? undefined : Number(found[1])
}

/** How long the model takes, in milliseconds: answers overtake one another. */
export function thinkingMs(pair: number): number {
  return mixed(pair * 7 + 1) % 12
}

/** The model's answer to this body from this client. */
export function answerTo(protocol: 'v1' | 'v2', model: string, client: string, body: string): string {
  const digest = createHash('sha1').update(`${client} ${body}`).digest('hex')
  return protocol === 'v1'
    ? `{"predictions":["${digest}"]}`
    : `{"model_name":"${model}","outputs":[{"name":"digest","datatype":"BYTES","shape":[1],"data":["${digest}"]}]}`
}

/** The body of the right answer to request n. */
export function expectedAnswer(number: number, client: number): string {
  const { protocol, name } = modelOf(number)
  return answerTo(protocol, name, clientName(client), payloadOf(number))
}

function mixed(value: number): number {
  return Math.imul(value, 0x9e3779b1) >>> 12
}
