// What request number n looks like, and what its answer must be. Requests come in pairs: the same Correlation Data, the
// same payload and the same model from two clients. Only the client level and a passed-on header tell them apart, so an
// answer that went to the other of the pair is seen.
import { createHash } from 'node:crypto'

/** The user property that the connector passes on as a header. */
export const CLIENT_HEADER = 'x-chaos-client'

/** One exposed model. */
export interface ChaosModel {
  readonly name: string
  readonly protocol: 'v1' | 'v2'
}

/** The models; all are asked alike. */
export const MODELS: readonly ChaosModel[] = [
  { name: 'north', protocol: 'v1' },
  { name: 'east', protocol: 'v2' },
  { name: 'south', protocol: 'v1' },
  { name: 'west', protocol: 'v2' },
]

const CORRELATION_HEAD = 'c0de'
const LONG_EXPIRY_SECONDS = 600
/** One in 64 pairs has little time: it may expire in an outage, which is no fault. Seconds. */
const SHORT_EXPIRY_SECONDS = 3
const PADDING = 'x'.repeat(2048)

/** The index of the client that sends request n, of so many clients (an even number). */
export function clientOf(number: number, clients: number): number {
  return 2 * ((number >>> 1) % (clients / 2)) + (number & 1)
}

/** The number of the request that this client sends with the payload of this pair. */
export function numberOf(pair: number, client: number): number {
  return 2 * pair + (client & 1)
}

/** The `{client}` level of its topics. */
export function clientName(client: number): string {
  return `chaos-${client}`
}

/** The model that a pair of requests asks. */
export function modelOf(number: number): ChaosModel {
  return MODELS[mixed(number >>> 1) % MODELS.length]!
}

/** `north/predict` */
export function levelsOf(number: number): string {
  const { name, protocol } = modelOf(number)
  return `${name}/${operationOf(protocol)}`
}

/** The operation that a model is asked for. */
export function operationOf(protocol: 'v1' | 'v2'): 'predict' | 'infer' {
  return protocol === 'v1' ? 'predict' : 'infer'
}

/** Six bytes that name the pair. */
export function correlationOf(number: number): Buffer {
  const bytes = Buffer.from(`${CORRELATION_HEAD}00000000`, 'hex')
  bytes.writeUInt32BE(number >>> 1, 2)
  return bytes
}

/** The pair that Correlation Data names; undefined = not ours. */
export function pairOf(correlation: string): number | undefined {
  if (correlation.length !== 12 || !correlation.startsWith(CORRELATION_HEAD)) return undefined
  return Number.parseInt(correlation.slice(4), 16)
}

/** Seconds. */
export function expirySecondsOf(number: number): number {
  return (number >>> 1) % 64 === 63 ? SHORT_EXPIRY_SECONDS : LONG_EXPIRY_SECONDS
}

/** The body of both of a pair; every sixteenth is a few packets long. */
export function payloadOf(number: number): string {
  const pair = number >>> 1
  const padding = pair % 16 === 5 ? PADDING : ''
  return modelOf(number).protocol === 'v1'
    ? `{"instances":[[${pair}]],"parameters":{"padding":"${padding}"}}`
    : `{"inputs":[{"name":"x","datatype":"INT64","shape":[1],"data":[${pair}]}],"parameters":{"padding":"${padding}"}}`
}

/** The pair that a body names; undefined = not one of ours. */
export function pairInBody(body: string): number | undefined {
  const found = /^\{"(?:instances":\[\[|inputs":.*?"data":\[)(\d+)\]/.exec(body)
  return found === null ? undefined : Number(found[1])
}

/** How long the model thinks about it, in milliseconds: answers overtake one another. */
export function thinkingMs(pair: number): number {
  return mixed(pair * 7 + 1) % 12
}

/** What the model answers to this body of this client. */
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
