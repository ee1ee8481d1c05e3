// Runs `inferwire infer`: reads the body, chooses the operation, then sends the request or prints a command.
import {
  dialectNames,
  dialectOf,
  isModelName,
  isOperationName,
  OPERATIONS,
  operationRoute,
  writeJson,
  type OperationName,
  type ReceivedCard,
} from '@inferwire/protocol'
import { openClient, type BrokerClient } from '../broker-client.ts'
import { brokerTarget, type BrokerFlags, type BrokerTarget } from '../broker-flags.ts'
import { CliError, usageError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { answerLine, formatAnswer, type BodyFormat } from './infer-output.ts'
import { printable } from '../table.ts'
import { operationOf, parseOperation, readRequestBody } from './request-body.ts'
import { curlLine, mosquittoLine, type ShownRequest } from './show-command.ts'

/** The option values as Commander returns them. */
export interface InferFlags extends BrokerFlags {
  readonly data?: string
  readonly file?: string
  readonly operation?: string
  readonly contentType?: string
  readonly output?: 'json' | 'body'
  readonly verbose?: true
  readonly show?: 'mosquitto' | 'curl'
  readonly url: string
}

/** Prints the model's reply, or the command for --show. @throws CliError, InferwireError */
export async function runInfer(model: string, flags: InferFlags): Promise<void> {
  if (!isModelName(model)) {
    throw usageError(`"${model}" cannot be the name of a model`, 'List the models with: inferwire models ls')
  }
  const target = brokerTarget(flags, process.env)
  if (target.mqttVersion === '3.1.1' && flags.contentType !== undefined) {
    throw usageError('MQTT 3.1.1 has no content type', 'Omit -V 3.1.1 or --content-type.')
  }
  const connection = new LazyClient(target)
  try {
    const request = await prepare(model, flags, target, connection)
    if (flags.show === undefined) return await ask(request, flags, connection)
    const line =
      flags.show === 'mosquitto' ? mosquittoLine(request) : await showCurl(request, flags.url, connection)
    process.stdout.write(`${line}\n`)
  } finally {
    await connection.close()
  }
}

async function prepare(
  model: string,
  flags: InferFlags,
  target: BrokerTarget,
  connection: LazyClient,
): Promise<ShownRequest> {
  const asked = flags.operation === undefined ? undefined : parseOperation(flags.operation)
  const request = { target, model, contentType: flags.contentType }
  if (asked !== undefined && !OPERATIONS[asked].hasBody)
    return { ...request, operation: asked, body: undefined }
  const body = await readRequestBody(flags)
  if (body !== undefined) return { ...request, operation: asked ?? operationOf(body.bytes), body }
  const example = await exampleOf(model, asked, connection)
  return { ...request, operation: example.operation, body: { bytes: example.bytes, file: undefined } }
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

function defaultOperation(card: ReceivedCard): OperationName {
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

async function ask(request: ShownRequest, flags: InferFlags, connection: LazyClient): Promise<void> {
  const client = await connection.open()
  // On MQTT 3.1.1, the reply is matched by an id in the topic. The id follows the operation, which is thus required.
  const isOpen = request.target.mqttVersion === '3.1.1' && request.operation === undefined
  const operation = isOpen ? defaultOperation(await client.card(request.model)) : request.operation
  const answer = await client.ask({ ...request, operation })
  process.stdout.write(formatAnswer(answer, flags.output ?? defaultFormat()))
  if (flags.verbose === true || process.stderr.isTTY) process.stderr.write(answerLine(answer))
}

// A terminal receives indented JSON; a pipe receives the bytes, with a final line break after JSON.
function defaultFormat(): BodyFormat {
  return process.stdout.isTTY ? 'pretty' : 'lines'
}

async function showCurl(request: ShownRequest, url: string, connection: LazyClient): Promise<string> {
  const { model } = request
  // The card is needed only if the body and the options do not determine the request.
  const card = isOpen(request.operation) ? await (await connection.open()).card(model) : undefined
  const operation = request.operation ?? (card === undefined ? undefined : defaultOperation(card))
  const dialects = dialectNames().filter((name) => card?.protocol_versions?.includes(name) ?? true)
  const dialect = operation === undefined ? undefined : dialectOf(operation, dialects)
  if (operation === undefined || dialect === undefined) {
    throw new CliError(
      EXIT.usage,
      `model "${model}" does not offer ${operation ?? 'an operation that this version supports'}`,
      `It offers: ${card?.operations.join(', ') ?? 'nothing'}.`,
    )
  }
  if (url === 'http://MODEL_SERVER') {
    process.stderr.write('Replace MODEL_SERVER with the address of the model server, or set it with --url.\n')
  }
  return curlLine(request, operation, dialect, url)
}

// Returns true if the operation is not given, or if several dialects have it.
function isOpen(operation: OperationName | undefined): boolean {
  if (operation === undefined) return true
  const dialects = dialectNames().filter((dialect) => operationRoute(operation, dialect, '') !== undefined)
  return dialects.length > 1
}

// Connects on first use, and at most once: --show often needs no broker.
class LazyClient {
  readonly #target: BrokerTarget
  #client: Promise<BrokerClient> | undefined

  constructor(target: BrokerTarget) {
    this.#target = target
  }

  open(): Promise<BrokerClient> {
    this.#client ??= openClient(this.#target)
    return this.#client
  }

  async close(): Promise<void> {
    // open() has already reported a failed connection.
    const client = await this.#client?.catch(() => undefined)
    await client?.close()
  }
}
