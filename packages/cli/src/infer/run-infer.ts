// Runs `inferwire infer`: prepares the request, then sends it or prints a command.
import { dialectNames, dialectOf, isModelName, operationRoute, type OperationName } from '@inferwire/protocol'
import {
  brokerTarget,
  TIMEOUT_DEFAULT_SECONDS,
  type BrokerFlags,
  type BrokerTarget,
} from '../broker-flags.ts'
import { CliError, usageError } from '../cli-error.ts'
import { EXIT, exitCodeOf } from '../exit-code.ts'
import { LazyClient } from '../lazy-client.ts'
import { publishProperties } from '../publish-properties.ts'
import { defaultOperation, prepareRequest } from './prepare-request.ts'
import { operationOf } from './request-body.ts'
import { sendRequest } from './send-request.ts'
import { curlLine, mosquittoLine, type ShownRequest } from './show-command.ts'

/** The option values as Commander returns them. */
export interface InferFlags extends BrokerFlags {
  readonly data?: string
  readonly file?: string
  readonly input?: readonly string[]
  readonly pixelMax: number
  readonly invert?: true
  readonly operation?: string
  readonly contentType?: string
  readonly property?: readonly string[]
  readonly priority?: string
  readonly wait: boolean
  readonly output?: 'json' | 'body'
  readonly verbose?: true
  readonly show?: 'mosquitto' | 'curl'
  readonly url: string
}

// Language models may take minutes to answer, and submitted work may take an hour.
const STREAM_TIMEOUT_SECONDS = 600
const WORK_TIMEOUT_SECONDS = 3_600

/** Prints the model's reply, or the command for --show. @throws CliError, InferwireError */
export async function runInfer(model: string, flags: InferFlags): Promise<void> {
  checkModelName(model)
  const { headers, contentType, expirySeconds } = publishProperties(flags.property)
  if (contentType !== undefined && flags.contentType !== undefined) {
    throw usageError('the content type is given twice', 'Use either -D or --content-type.')
  }
  const timeout = flags.timeout ?? expirySeconds
  const target = brokerTarget(
    { ...flags, ...(timeout === undefined ? {} : { timeout }) },
    process.env,
    flags.wait ? TIMEOUT_DEFAULT_SECONDS : WORK_TIMEOUT_SECONDS,
  )
  const type = flags.contentType ?? contentType
  refuseWhatNeedsMqtt5(target, flags, type, headers)
  const connection = new LazyClient(target)
  try {
    const source = { ...flags, ...(type === undefined ? {} : { contentType: type }) }
    const request = await prepareRequest(model, source, target, headers, connection)
    const { show } = flags
    if (show === undefined) {
      const { isStreamed } = request
      const isOpenEnded = isStreamed && timeout === undefined && flags.wait
      const timeoutMs = isOpenEnded ? STREAM_TIMEOUT_SECONDS * 1_000 : target.timeoutMs
      await sendRequest({ ...request, timeoutMs }, flags, connection).catch((error: unknown) => {
        throw flags.operation === undefined ? withOrigin(error, request) : error
      })
      return
    }
    if (request.tensors !== undefined) {
      throw usageError('--show cannot be combined with --input', 'Use -d or -f.')
    }
    const { priority } = flags
    const line =
      show === 'mosquitto'
        ? mosquittoLine({ ...request, priority, expirySeconds })
        : await showCurl(request, flags.url, connection)
    process.stdout.write(`${line}\n`)
  } finally {
    await connection.close()
  }
}

/** Checks a model's name. @throws CliError */
export function checkModelName(model: string): void {
  if (isModelName(model)) return
  throw usageError(`"${model}" cannot be the name of a model`, 'List the models with: inferwire models ls')
}

function refuseWhatNeedsMqtt5(
  { mqttVersion }: BrokerTarget,
  { priority, wait }: InferFlags,
  contentType: string | undefined,
  headers: Readonly<Record<string, string>>,
): void {
  if (mqttVersion === 5) return
  if (contentType !== undefined) {
    throw usageError('MQTT 3.1.1 has no content type', 'Omit -V 3.1.1 or --content-type.')
  }
  if (priority !== undefined || Object.keys(headers).length > 0) {
    throw usageError('MQTT 3.1.1 has no user properties', 'Omit -V 3.1.1, or -D and --priority.')
  }
  if (!wait) throw usageError('--no-wait requires MQTT 5', 'Omit -V 3.1.1 or --no-wait.')
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
    process.stderr.write(
      "Replace MODEL_SERVER with the model server's address, or set the address with --url.\n",
    )
  }
  return curlLine(request, operation, dialect, url)
}

// Explains an operation that the user did not choose: the body implies it.
function withOrigin(error: unknown, { body, operation }: ShownRequest): unknown {
  const { code, message, status } = error as { code?: unknown; message?: string; status?: number }
  if (code !== 'operation_not_supported' || body === undefined || operationOf(body.bytes) !== operation) {
    return error
  }
  const origin = operation === undefined ? undefined : ORIGINS[operation]
  if (origin === undefined) return error
  return new CliError(exitCodeOf(code, false), `${message} (${status} ${code})`, origin, { cause: error })
}

const ORIGINS: Partial<Record<OperationName, string>> = {
  predict:
    'The body has "instances", so the operation was predict (V1). Send "inputs" (V2), or use --input FILE.',
  infer: 'The body has "inputs", so the operation was infer (V2). Send "instances" (V1).',
}

// Returns true if the operation is not given, or if several dialects have it.
function isOpen(operation: OperationName | undefined): boolean {
  if (operation === undefined) return true
  const dialects = dialectNames().filter((dialect) => operationRoute(operation, dialect, '') !== undefined)
  return dialects.length > 1
}
