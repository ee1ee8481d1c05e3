// infer() with typed tensors: chooses binary or JSON for each model, and reads the outputs of the reply.
import {
  BodyError,
  isJsonObject,
  parseJson,
  DIALECTS,
  PROPERTY,
  readV2Answer,
  writeBinaryCall,
  writeJsonCall,
  type CarriedBody,
  type DialectKind,
  type InputTensor,
  type OutputTensor,
  type ReceivedCard,
  type V2Call,
} from '@inferwire/protocol'
import { InferwireError } from './error.ts'
import { milliseconds, type InferOptions } from './options.ts'
import type { Reply } from './reply.ts'

/** The options of `infer()` with tensors. */
export interface TensorOptions extends Omit<InferOptions, 'operation' | 'contentType'> {
  /**
   * `binary` (MQTT 5 only) is smaller and exact for every datatype; not every model server accepts it. `auto` chooses
   * binary if the model's card allows it, and JSON if the model server rejects binary. @default 'auto'
   */
  readonly encoding?: 'auto' | 'binary' | 'json' | undefined
  /** Names of the outputs to return. @default all outputs */
  readonly outputs?: readonly string[] | undefined
  /** V2 parameters of the request. */
  readonly parameters?: Readonly<Record<string, string | number | boolean>> | undefined
}

/** A reply with typed tensors. */
export interface TensorReply extends Reply {
  readonly outputs: readonly OutputTensor[]
  /** The model's name and version as its server reported them. */
  readonly modelName: string | undefined
  readonly modelVersion: string | undefined
  /**
   * Returns an output by its name; without a name, the only output.
   * @throws TypeError without a name if there are several outputs; InferwireError `upstream_invalid_response` if there
   * is no such output
   */
  output(name?: string): OutputTensor
}

/** The parts of the client that tensor requests use. */
export interface TensorHost {
  readonly isMqtt5: boolean
  send(model: string, body: Uint8Array, options: InferOptions): Promise<Reply>
  card(model: string, timeoutMs: number): Promise<ReceivedCard | undefined>
}

interface Known {
  readonly encoding: 'binary' | 'json'
  /** True if the server has accepted a request in this encoding; false if only the card suggests the encoding. */
  readonly isProven: boolean
  readonly untilMs: number
}

const TIMEOUT_DEFAULT_MS = 30_000
const CARD_TIMEOUT_MS = 2_000
// How long a chosen encoding is used before the card is read again, and for how many models choices are kept.
const KNOWN_MS = 5 * 60_000
const KNOWN_MAX = 1_000
const OPENING_BRACE = 0x7b
const JSON_LENGTH = /^\d{1,15}$/

/** Returns whether a body is a list of tensors. */
export function isTensorList(body: unknown): body is readonly InputTensor[] {
  return (
    Array.isArray(body) &&
    body.length > 0 &&
    body.every((item: unknown) => typeof item === 'object' && item !== null && 'data' in item)
  )
}

/** Sends tensors, and remembers which encoding each model's server accepts. */
export class TensorCalls {
  readonly #host: TensorHost
  readonly #known = new Map<string, Known>()

  constructor(host: TensorHost) {
    this.#host = host
  }

  /** @throws InferwireError like `infer()`; TypeError for tensors that do not match their datatype or shape */
  async infer(model: string, inputs: readonly InputTensor[], options: TensorOptions): Promise<TensorReply> {
    const { encoding = 'auto', outputs, parameters, ...sending } = options
    if (encoding !== 'auto' && encoding !== 'binary' && encoding !== 'json') {
      throw new TypeError(`encoding is ${JSON.stringify(encoding)}; expected auto, binary or json.`)
    }
    const call: V2Call = { inputs, outputs, parameters }
    const untilMs = performance.now() + milliseconds('timeoutMs', options.timeoutMs ?? TIMEOUT_DEFAULT_MS)
    const send = async (body: CarriedBody): Promise<TensorReply> => {
      const timeoutMs = Math.max(1, untilMs - performance.now())
      const reply = await this.#host.send(model, body.body, {
        ...sending,
        ...typeOf(body, sending),
        timeoutMs,
      })
      return toTensorReply(reply, model)
    }
    if (encoding === 'binary') return await send(writeBinaryCall(call))
    const known = this.#currentOf(model)
    if (encoding === 'json' || !this.#host.isMqtt5 || known?.encoding === 'json') {
      return await send(writeJsonCall(call))
    }
    // The caller may reuse its arrays as soon as this method first waits. Binary data is written now; JSON that is
    // written later needs a copy of the arrays.
    const binary = writeBinaryCall(call)
    const copied = known?.isProven === true ? undefined : copyOf(call)
    if (copied !== undefined && (await this.#encodingOf(model, untilMs)) === 'json') {
      return await send(writeJsonCall(copied))
    }
    try {
      const reply = await send(binary)
      this.#note(model, 'binary', true)
      return reply
    } catch (error) {
      if (!this.#maySendAsJson(model, error)) throw error
      const json = copied === undefined ? undefined : asJson(copied)
      if (json === undefined) throw error
      const reply = await send(json)
      this.#note(model, 'json', true)
      return reply
    }
  }

  #currentOf(model: string): Known | undefined {
    const known = this.#known.get(model)
    return known !== undefined && known.untilMs > performance.now() ? known : undefined
  }

  async #encodingOf(model: string, untilMs: number): Promise<'binary' | 'json'> {
    const current = this.#currentOf(model)
    if (current !== undefined) return current.encoding
    const known = this.#known.get(model)
    const [name = model] = model.split('@')
    // If the client may not read cards, JSON still works.
    const card = await this.#host
      .card(name, Math.max(1, Math.min(CARD_TIMEOUT_MS, untilMs - performance.now())))
      .catch(() => undefined)
    const isAllowed = card?.protocol_versions?.some(hasBinaryTensors) === true
    const encoding = isAllowed ? (known?.isProven === true ? known.encoding : 'binary') : 'json'
    this.#note(model, encoding, known?.isProven === true && encoding === known.encoding)
    return encoding
  }

  // Returns whether the server rejected the encoding before the model ran. Once a binary request has succeeded,
  // the encoding is not the cause of an error.
  #maySendAsJson(model: string, error: unknown): boolean {
    if (!(error instanceof InferwireError) || this.#known.get(model)?.isProven === true) return false
    return error.code === 'unsupported_content_type' || (error.code === 'upstream_error' && isOfForm(error))
  }

  #note(model: string, encoding: 'binary' | 'json', isProven: boolean): void {
    this.#known.delete(model)
    this.#known.set(model, { encoding, isProven, untilMs: performance.now() + KNOWN_MS })
    if (this.#known.size > KNOWN_MAX) this.#known.delete(this.#known.keys().next().value!)
  }
}

function hasBinaryTensors(dialect: string): boolean {
  const kinds: Readonly<Record<string, DialectKind>> = DIALECTS
  return Object.hasOwn(kinds, dialect) && kinds[dialect]!.hasBinaryTensors
}

function typeOf({ jsonLength }: CarriedBody, { headers }: InferOptions): InferOptions {
  if (jsonLength === undefined) return { operation: 'infer' }
  return {
    operation: 'infer',
    contentType: 'application/octet-stream',
    headers: { ...headers, [PROPERTY.inferenceHeaderContentLength]: String(jsonLength) },
  }
}

// Whether a server rejected the form of a body before its model ran. If the model itself fails, the body is
// `{"error":…}`, with any status. A FastAPI server that reads a binary body as JSON rejects the body with status
// 422 and the member `detail`. MLServer answers "Internal Server Error" to bytes that are not UTF-8.
function isOfForm({ status, body }: InferwireError): boolean {
  if (status === 415) return true
  if (status === 422) return memberNames(body).includes('detail')
  if (status === 400) return !memberNames(body).includes('error')
  return status === 500 && body !== undefined && body[0] !== OPENING_BRACE
}

function memberNames(body: Uint8Array | undefined): readonly string[] {
  try {
    const value = body === undefined ? undefined : parseJson(body)
    return isJsonObject(value) ? Object.keys(value) : []
  } catch {
    return []
  }
}

function copyOf({ inputs, outputs, parameters }: V2Call): V2Call {
  return {
    inputs: inputs.map((input) => ({
      ...input,
      shape: [...input.shape],
      data: dataOf(input.data),
      parameters: input.parameters && { ...input.parameters },
    })),
    outputs: outputs === undefined ? undefined : [...outputs],
    parameters: parameters && { ...parameters },
  }
}

function dataOf(data: InputTensor['data']): InputTensor['data'] {
  if (Array.isArray(data)) return data.map(withOwnBytes) as InputTensor['data']
  return (
    data instanceof Uint8Array ? withOwnBytes(data) : (data as Float32Array).slice()
  ) as InputTensor['data']
}

// Uses the constructor, because `slice` of a Buffer returns a view of the same memory.
function withOwnBytes(item: unknown): unknown {
  return item instanceof Uint8Array ? new Uint8Array(item) : item
}

function asJson(call: V2Call): CarriedBody | undefined {
  try {
    return writeJsonCall(call)
  } catch {
    return undefined
  }
}

function toTensorReply(reply: Reply, model: string): TensorReply {
  const length = reply.headers[PROPERTY.inferenceHeaderContentLength]
  if (length !== undefined && !JSON_LENGTH.test(length)) {
    throw invalid(reply, model, `its ${PROPERTY.inferenceHeaderContentLength} is not a number`)
  }
  try {
    const { outputs, modelName, modelVersion } = readV2Answer(
      reply.body,
      length === undefined ? undefined : Number(length),
    )
    const output = (name?: string): OutputTensor => {
      const found = name === undefined ? outputs : outputs.filter((each) => each.name === name)
      if (found.length === 1) return found[0]!
      const wanted = name === undefined ? 'one output' : `one output "${name}"`
      const names = outputs.map((each) => `"${each.name}"`).join(', ')
      if (name === undefined && outputs.length > 1) {
        throw new TypeError(`output() needs a name: model "${model}" has the outputs ${names}.`)
      }
      throw invalid(reply, model, `expected ${wanted}; its outputs are ${names || 'none'}`)
    }
    return Object.assign(reply, { outputs, modelName, modelVersion, output })
  } catch (error) {
    if (error instanceof BodyError) throw invalid(reply, model, error.message, error)
    throw error
  }
}

function invalid(reply: Reply, model: string, what: string, cause?: unknown): InferwireError {
  const message = `The reply of model "${model}" is not a V2 response: ${what}.`
  return new InferwireError('upstream_invalid_response', message, {
    model,
    body: reply.body,
    retryable: false,
    cause,
  })
}
