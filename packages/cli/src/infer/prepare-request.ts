// Builds the request of `inferwire infer`: body or tensors, and the operation.
import type { InputTensor } from '@inferwire/client'
import {
  isOperationName,
  OPERATIONS,
  operationRoute,
  dialectNames,
  writeJson,
  type OperationName,
  type ReceivedCard,
} from '@inferwire/protocol'
import type { BrokerTarget } from '../broker-flags.ts'
import { usageError } from '../cli-error.ts'
import type { LazyClient } from '../lazy-client.ts'
import { printable } from '../table.ts'
import { readInputs } from '../tensors/read-inputs.ts'
import { operationOf, parseOperation, readRequestBody, type BodySource } from './request-body.ts'
import type { ShownRequest } from './show-command.ts'

/** A request to send. */
export interface PreparedRequest extends ShownRequest {
  /** The tensors of --input; the SDK encodes them. */
  readonly tensors: readonly InputTensor[] | undefined
  /** Whether the request asks for a streamed answer. */
  readonly isStreamed: boolean
}

/** The options that determine the request. */
export interface RequestSource extends BodySource {
  readonly input?: readonly string[]
  readonly pixelMax: number
  readonly invert?: true
  readonly operation?: string
}

/** Reads the body or the tensors, and determines the operation. @throws CliError, InferwireError */
export async function prepareRequest(
  model: string,
  source: RequestSource,
  target: BrokerTarget,
  headers: Readonly<Record<string, string>>,
  connection: LazyClient,
): Promise<PreparedRequest> {
  const asked = source.operation === undefined ? undefined : parseOperation(source.operation)
  const request = { target, model, contentType: source.contentType, headers, tensors: undefined }
  if (source.input !== undefined) return await withTensors(request, asked, source.input, source, connection)
  if (asked !== undefined && !OPERATIONS[asked].hasBody) {
    return { ...request, operation: asked, body: undefined, isStreamed: false }
  }
  const body = await readRequestBody(source)
  if (body === undefined) {
    const { operation, bytes } = await exampleOf(model, asked, connection)
    const isStreamed = isStreamRequest(operation, bytes)
    return { ...request, operation, body: { bytes, file: undefined }, isStreamed }
  }
  const operation = asked ?? operationOf(body.bytes)
  return { ...request, operation, body, isStreamed: isStreamRequest(operation, body.bytes) }
}

async function withTensors(
  request: Omit<PreparedRequest, 'operation' | 'body' | 'isStreamed'>,
  asked: OperationName | undefined,
  specs: readonly string[],
  { data, file, contentType, pixelMax, invert }: RequestSource,
  connection: LazyClient,
): Promise<PreparedRequest> {
  if (data !== undefined || file !== undefined) {
    throw usageError('--input cannot be combined with -d or -f', 'Use either tensors or a body.')
  }
  if (contentType !== undefined) {
    throw usageError('--input has its own content type', 'Omit the content type, or send a body with -f.')
  }
  if (asked !== undefined && asked !== TENSOR_OPERATION) {
    throw usageError(`--input sends tensors, which ${asked} does not accept`, 'Omit --operation.')
  }
  const card = await (await connection.open()).card(request.model)
  if (!card.operations.includes(TENSOR_OPERATION)) {
    throw usageError(
      `model "${card.name}" does not accept tensors (V2): it has no operation ${TENSOR_OPERATION}`,
      `Use -d or -f. The model's operations are: ${card.operations.join(', ')}.`,
    )
  }
  const tensors = await readInputs(specs, card, { pixelMax, invert: invert ?? false })
  // The SDK checks datatype and values.
  const inputs = tensors as readonly InputTensor[]
  return { ...request, operation: TENSOR_OPERATION, body: undefined, tensors: inputs, isStreamed: false }
}

const TENSOR_OPERATION: OperationName = 'infer'

// Returns whether the answer will be streamed. The dialects define which operations stream, and under which
// condition.
function isStreamRequest(operation: OperationName | undefined, body: Uint8Array): boolean {
  const streams = dialectNames().flatMap(
    (dialect) => (operation === undefined ? undefined : operationRoute(operation, dialect, ''))?.stream ?? [],
  )
  return streams.some(({ when }) => when === 'always' || asksForStream(body))
}

function asksForStream(body: Uint8Array): boolean {
  try {
    return (JSON.parse(Buffer.from(body).toString()) as { stream?: unknown } | null)?.stream === true
  } catch {
    return false
  }
}

// Returns the example from the model's card, which is sent if no body is given.
async function exampleOf(
  model: string,
  asked: OperationName | undefined,
  connection: LazyClient,
): Promise<{ operation: OperationName; bytes: Uint8Array }> {
  const { example } = await (await connection.open()).card(model)
  const operation = example === undefined ? undefined : knownOperation(example.operation)
  const remedy = `Use -d '{"instances":[[…]]}' or -f FILE. For the model's inputs: inferwire models describe ${model}`
  if (example === undefined || operation === undefined) {
    throw usageError(`no body was given, and the card of model "${model}" has no example`, remedy)
  }
  if (asked !== undefined && asked !== operation) {
    throw usageError(
      `no body was given, and the example of model "${model}" is for ${operation}, not ${asked}`,
      remedy,
    )
  }
  const text = writeJson(example.body)
  process.stderr.write(
    `No body given; sending the example from the model's card: ${printable(shortened(text))}\n`,
  )
  return { operation, bytes: Buffer.from(text) }
}

// A newer connector may offer operations that this version does not support.
function knownOperation(name: string | undefined): OperationName | undefined {
  return name !== undefined && isOperationName(name) ? name : undefined
}

/** Returns the default operation in a card. @throws CliError if this version does not support it */
export function defaultOperation(card: ReceivedCard): OperationName {
  const operation = knownOperation(card.default_operation)
  if (operation !== undefined) return operation
  throw usageError(
    `the card of model "${card.name}" has no default operation that this version supports`,
    `Use --operation with one of: ${card.operations.join(', ')}.`,
  )
}

function shortened(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}
