// Asks a model server which dialects it speaks for a model, and what the model is.
import { operationRoute, Problem, type Dialect, type Route, type TensorMetadata } from '@inferwire/protocol'
import type { Deadline, ModelFacts } from '../../step.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import { callHttp, type HttpAnswer } from './http-call.ts'
import { IDENTITY_ONLY, type HttpTarget } from './http-endpoint.ts'
import { judgeAnswer } from './judge-answer.ts'

const ASK_TIMEOUT_MS = 5_000
const METADATA_BYTES_MAX = 256 * 1024
// The description becomes part of a retained message: bounded.
const TENSORS_MAX = 64

/** How a server describes the model itself. */
type Description = Omit<ModelFacts, 'protocols' | 'unanswered'>

/**
 * Asks in each dialect for the model's metadata. When one dialect was answered, a refusal in another one (404, but also
 * 400, 401, 405 or a web page: servers differ in how they answer an unknown path) means that the server does not speak
 * it. A dialect is unanswered only where another moment may bring an answer.
 * @throws Problem: `model_not_ready` when every answer was 404, else the reason why no dialect was answered. After
 * `signal` is aborted, any Problem.
 */
export async function askFacts(
  target: HttpTarget,
  model: string,
  dialects: readonly Dialect[],
  signal: AbortSignal,
): Promise<ModelFacts> {
  const found: Dialect[] = []
  const unanswered: Dialect[] = []
  let description: Description = {}
  let refusal: Problem | undefined
  let failure: UpstreamFailure | undefined
  for (const dialect of dialects) {
    const route = operationRoute('metadata', dialect, model)
    if (route === undefined) continue
    try {
      const metadata = await ask(target, route, signal)
      if (metadata === undefined) continue
      found.push(dialect)
      // The dialects come in order of preference.
      description = { ...readDescription(metadata), ...description }
    } catch (error) {
      if (!(error instanceof UpstreamFailure)) {
        refusal = Problem.from(error)
        continue
      }
      failure = error
      unanswered.push(dialect)
    }
  }
  if (found.length > 0) return { protocols: found, unanswered, ...description }
  const reason = failure ?? refusal
  if (reason !== undefined) throw reason
  const paths = dialects.map((dialect) => operationRoute('metadata', dialect, model)?.path)
  throw new Problem('model_not_ready', `The model server does not serve model "${model}" yet.`, {
    detail: `404 on ${paths.map((path) => `${target.origin}${target.pathPrefix}${path}`).join(' and ')}`,
  })
}

// Undefined = 404: no such dialect, or no such model.
async function ask(
  target: HttpTarget,
  route: Route,
  signal: AbortSignal,
): Promise<Record<string, unknown> | undefined> {
  const path = target.pathPrefix + route.path
  const address = `${route.method} ${target.origin}${path}`
  const deadline = new AskDeadline(address, signal)
  try {
    const host = target.host === undefined ? [] : ['host', target.host]
    const answer = await callHttp(
      target.pool,
      {
        method: route.method,
        path,
        headers: [...host, ...IDENTITY_ONLY, ...(await target.credential.headers(target.origin))],
        body: null,
        responseBytesMax: METADATA_BYTES_MAX,
        deadline,
        address,
      },
      (whole: HttpAnswer) => whole,
    )
    const isGateway = answer.body.length === 0 && answer.contentType === undefined
    if (answer.status === 404 && !isGateway && !/^text\/html/i.test(answer.contentType ?? ''))
      return undefined
    const good = judgeAnswer(answer, address)
    return JSON.parse(Buffer.from(good.body).toString('utf8')) as Record<string, unknown>
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new Problem('upstream_invalid_response', 'The model server answered with broken JSON.', {
        detail: address,
      })
    }
    throw error
  } finally {
    deadline.end()
  }
}

// Passes after the time-out, or when the signal is aborted.
class AskDeadline implements Deadline {
  readonly atMs = performance.now() + ASK_TIMEOUT_MS
  problem: Problem | undefined
  waiting: ((problem: Problem) => void) | undefined
  readonly #address: string
  readonly #signal: AbortSignal
  readonly #timer: NodeJS.Timeout
  readonly #stop = (): void => this.#pass('the question was withdrawn')

  constructor(address: string, signal: AbortSignal) {
    this.#address = address
    this.#signal = signal
    this.#timer = setTimeout(() => this.#pass(`nothing for ${ASK_TIMEOUT_MS} ms`), ASK_TIMEOUT_MS)
    signal.addEventListener('abort', this.#stop)
    if (signal.aborted) this.#stop()
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#signal.removeEventListener('abort', this.#stop)
  }

  #pass(why: string): void {
    const sentence = 'The model server does not answer.'
    const detail = `${this.#address}: ${why}`
    this.problem = new UpstreamFailure('unreachable', false, 'upstream_unreachable', sentence, { detail })
    this.waiting?.(this.problem)
  }
}

function readDescription(metadata: Record<string, unknown>): Description {
  const { platform, versions } = metadata
  const inputs = tensors(metadata['inputs'])
  const outputs = tensors(metadata['outputs'])
  return {
    ...(typeof platform === 'string' && platform !== '' ? { platform: platform.slice(0, 100) } : {}),
    ...(Array.isArray(versions) ? { versions: versions.filter(isShortText).slice(0, TENSORS_MAX) } : {}),
    ...(inputs.length > 0 ? { inputs } : {}),
    ...(outputs.length > 0 ? { outputs } : {}),
  }
}

function tensors(value: unknown): TensorMetadata[] {
  if (!Array.isArray(value)) return []
  return value.slice(0, TENSORS_MAX).flatMap((entry: unknown) => {
    const { name, datatype, shape } = (entry ?? {}) as Record<string, unknown>
    if (!isShortText(name) || !isShortText(datatype) || !Array.isArray(shape)) return []
    if (shape.length > 16 || !shape.every((size) => Number.isInteger(size))) return []
    return [{ name, datatype, shape: shape as number[] }]
  })
}

function isShortText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= 200
}
