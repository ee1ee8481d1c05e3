// Sends the request of `inferwire infer`. Prints the whole answer, or its parts as they arrive, or only the
// request's id.
import type { Client } from '@inferwire/client'
import { writeJsonCall } from '@inferwire/protocol'
import { usageError } from '../cli-error.ts'
import { cancellable } from '../interrupt.ts'
import type { LazyClient } from '../lazy-client.ts'
import { shellLine } from '../shell-quote.ts'
import { writeOut } from '../write-out.ts'
import { answerLine, formatAnswer, toAnswer, type Answer, type BodyFormat } from './infer-output.ts'
import { defaultOperation, type PreparedRequest } from './prepare-request.ts'
import { formatEnd, formatPart } from './stream-output.ts'
import { tensorsToJson } from './tensor-output.ts'

/** The options for sending and printing. */
export interface SendFlags {
  readonly priority?: string
  readonly wait: boolean
  readonly output?: 'json' | 'body'
  readonly verbose?: true
}

type Sent = PreparedRequest & { readonly timeoutMs: number }

/** Sends a request and prints its answer. Ctrl-C cancels it. @throws InferwireError, CliError */
export async function sendRequest(given: Sent, flags: SendFlags, connection: LazyClient): Promise<void> {
  const client = await connection.open()
  // On MQTT 3.1.1, the reply is matched by an id in the topic. The id follows the operation, so the operation is
  // required. A stream requires the operation on MQTT 5, too.
  const isOpen = given.operation === undefined && (given.target.mqttVersion === '3.1.1' || given.isStreamed)
  const operation = isOpen ? defaultOperation(await client.card(given.model)) : given.operation
  const request = { ...given, operation }
  if (!flags.wait) {
    await submit(client.sdk, request, flags)
    return
  }
  const format = flags.output ?? defaultFormat()
  const answer = request.isStreamed
    ? await cancellable((signal) => stream(client.sdk, request, flags, format, signal))
    : await cancellable((signal) => ask(client.sdk, request, flags, format, signal))
  printAnswerLine(answer, flags)
}

/** Prints status and timing to standard error if that is a terminal, or if -v is given. */
export function printAnswerLine(answer: Answer, { verbose }: Pick<SendFlags, 'verbose'>): void {
  if (verbose === true || process.stderr.isTTY) process.stderr.write(answerLine(answer))
}

/**
 * The format if -o is not given. A terminal receives indented JSON; a pipe receives the bytes, with a line break after
 * JSON.
 */
export function defaultFormat(): BodyFormat {
  return process.stdout.isTTY ? 'pretty' : 'lines'
}

async function ask(
  sdk: Client,
  request: Sent,
  { priority }: SendFlags,
  format: BodyFormat,
  signal: AbortSignal,
): Promise<Answer> {
  const { model, operation, body, contentType, headers, tensors, timeoutMs } = request
  const options = { headers, priority, timeoutMs, signal }
  if (tensors !== undefined) {
    const reply = await sdk.infer(model, tensors, options).catch(refusedTensor)
    const answer = toAnswer(reply, model, operation)
    const isBinary = answer.inferenceHeaderContentLength !== undefined && format !== 'body'
    const json = { contentType: 'application/json', inferenceHeaderContentLength: undefined }
    const shown = isBinary ? { ...answer, ...json, body: Buffer.from(tensorsToJson(reply)) } : answer
    await writeOut(formatAnswer(shown, format))
    return shown
  }
  const reply = await sdk.infer(model, body?.bytes, { ...options, operation, contentType })
  const answer = toAnswer(reply, model, operation)
  await writeOut(formatAnswer(answer, format))
  return answer
}

// The SDK throws a TypeError for values that the datatype or JSON cannot represent.
function refusedTensor(error: unknown): never {
  if (!(error instanceof TypeError)) throw error
  throw usageError(error.message, 'Correct the file given with --input.')
}

async function stream(
  sdk: Client,
  request: Sent,
  { priority }: SendFlags,
  format: BodyFormat,
  signal: AbortSignal,
): Promise<Answer> {
  const { model, operation, body, contentType, headers, timeoutMs } = request
  const options = { headers, priority, contentType, timeoutMs, signal }
  const parts = sdk.stream(model, { operation: operation!, body: body?.bytes }, options)
  for await (const part of parts) await writeOut(formatPart(part, format))
  const answer = toAnswer(parts.finalReply!, model, operation)
  await writeOut(formatEnd({ ...answer, body: new Uint8Array() }, format))
  return answer
}

async function submit(sdk: Client, request: Sent, { priority }: SendFlags): Promise<void> {
  const { model, operation, contentType, headers, tensors, timeoutMs } = request
  const body = tensors === undefined ? request.body?.bytes : jsonOf(tensors)
  const options = { operation, contentType, headers, priority, timeoutMs }
  const { id } = await sdk.submit(model, body, options)
  await writeOut(`${id}\n`)
  if (process.stderr.isTTY) {
    process.stderr.write(`Fetch the reply with: ${shellLine(['inferwire', 'result', id])}\n`)
  }
}

// The reply is printed by another process, which does not know that tensors were sent, so the reply must be JSON.
function jsonOf(tensors: NonNullable<PreparedRequest['tensors']>): Uint8Array {
  try {
    return writeJsonCall({ inputs: tensors }).body
  } catch (error) {
    return refusedTensor(error)
  }
}
