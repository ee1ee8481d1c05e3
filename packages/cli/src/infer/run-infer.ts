// `inferwire infer`: gets the body, decides the operation, then asks or shows.
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

/** What commander collects. */
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

/** Prints the answer of the model, or the command of --show. @throws CliError, InferwireError */
export async function runInfer(model: string, flags: InferFlags): Promise<void> {
  if (!isModelName(model)) {
    throw usageError(`"${model}" cannot be the name of a model`, 'List the models with: inferwire models ls')
  }
  const target = brokerTarget(flags, process.env)
  if (target.mqttVersion === '3.1.1' && flags.contentType !== undefined) {
    throw usageError('MQTT 3.1.1 cannot say a content type', 'Leave out -V 3.1.1, or --content-type.')
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

// Nobody typed a body: the card has one that works.
async function exampleOf(
  model: string,
  asked: OperationName | undefined,
  connection: LazyClient,
): Promise<{ operation: OperationName; bytes: Uint8Array }> {
  const { example: said } = await (await connection.open()).card(model)
  const operation = said === undefined ? undefined : knownOperation(said.operation)
  const remedy = `Give a body: -d '{"instances":[[…]]}' or -f FILE. What the model takes: inferwire models describe ${model}`
  if (said === undefined || operation === undefined) {
    throw usageError(`no body was given, and the card of model "${model}" has no example`, remedy)
  }
  if (asked !== undefined && asked !== operation) {
    throw usageError(
      `no body was given, and the example of model "${model}" is for ${operation}, not ${asked}`,
      remedy,
    )
  }
  const text = writeJson(said.body)
  process.stderr.write(
    `No body given: sending the example of the model's card: ${printable(shortened(text))}\n`,
  )
  return { operation, bytes: Buffer.from(text) }
}

// A newer connector may offer what this version does not know.
function knownOperation(name: string | undefined): OperationName | undefined {
  return name !== undefined && isOperationName(name) ? name : undefined
}

function defaultOperation(card: ReceivedCard): OperationName {
  const operation = knownOperation(card.default_operation)
  if (operation !== undefined) return operation
  throw usageError(
    `the card of model "${card.name}" names no default operation that this version knows`,
    `Give one with --operation: ${card.operations.join(', ')}.`,
  )
}

function shortened(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

async function ask(request: ShownRequest, flags: InferFlags, connection: LazyClient): Promise<void> {
  const client = await connection.open()
  // MQTT 3.1.1 finds the reply by an id in the topic, which comes after the operation.
  const isOpen = request.target.mqttVersion === '3.1.1' && request.operation === undefined
  const operation = isOpen ? defaultOperation(await client.card(request.model)) : request.operation
  const answer = await client.ask({ ...request, operation })
  process.stdout.write(formatAnswer(answer, flags.output ?? defaultFormat()))
  if (flags.verbose === true || process.stderr.isTTY) process.stderr.write(answerLine(answer))
}

// A reader gets indented JSON; a program gets the bytes, and its line break behind JSON, as from jq.
function defaultFormat(): BodyFormat {
  return process.stdout.isTTY ? 'pretty' : 'lines'
}

async function showCurl(request: ShownRequest, url: string, connection: LazyClient): Promise<string> {
  const { model } = request
  // Only what the body and the options leave open is looked up.
  const card = isOpen(request.operation) ? await (await connection.open()).card(model) : undefined
  const operation = request.operation ?? (card === undefined ? undefined : defaultOperation(card))
  const spoken = dialectNames().filter((name) => card?.protocol_versions?.includes(name) ?? true)
  const dialect = operation === undefined ? undefined : dialectOf(operation, spoken)
  if (operation === undefined || dialect === undefined) {
    throw new CliError(
      EXIT.usage,
      `model "${model}" does not offer ${operation ?? 'an operation that this version knows'}`,
      `It offers: ${card?.operations.join(', ') ?? 'nothing'}.`,
    )
  }
  if (url === 'http://MODEL_SERVER') {
    process.stderr.write(
      'Put the address of the model server in place of MODEL_SERVER, or give it with --url.\n',
    )
  }
  return curlLine(request, operation, dialect, url)
}

// Which operation, or in which dialect.
function isOpen(operation: OperationName | undefined): boolean {
  if (operation === undefined) return true
  const dialects = dialectNames().filter((dialect) => operationRoute(operation, dialect, '') !== undefined)
  return dialects.length > 1
}

// Shown commands often need no broker at all; asking connects once.
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
    // A connection that failed has been told already.
    const client = await this.#client?.catch(() => undefined)
    await client?.close()
  }
}
