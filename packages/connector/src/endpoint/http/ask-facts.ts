// Asks a model server which protocols it speaks for a model, and what the model is.
import { Problem, type Dialect, type TensorMetadata } from '@inferwire/protocol'
import type { Deadline, ModelFacts } from '../../step.ts'
import { callHttp, type HttpAnswer } from './http-call.ts'
import type { HttpUpstream } from './http-endpoint.ts'
import { judgeAnswer } from './judge-answer.ts'

const PROBE_TIMEOUT_MS = 5_000
const METADATA_BYTES_MAX = 256 * 1024
// What a server says goes into a retained message: bounded.
const TENSORS_MAX = 64

/**
 * @throws Problem: `model_not_ready` when the server answers but does not serve the model, else what stands
 * between us and the server. A 404 of one protocol only means that the server does not speak it.
 */
export async function probeModel(
  upstream: HttpUpstream,
  model: string,
  protocols: readonly Dialect[],
): Promise<ModelFacts> {
  const found: Dialect[] = []
  let facts: Omit<ModelFacts, 'protocols'> = {}
  let failure: Problem | undefined
  for (const protocol of protocols) {
    try {
      const answer = await ask(upstream, `/${protocol}/models/${encodeURIComponent(model)}`)
      if (answer === undefined) continue
      found.push(protocol)
      if (protocol === 'v2') facts = readFacts(answer)
    } catch (error) {
      failure = Problem.from(error)
    }
  }
  if (found.length > 0) return { protocols: found, ...facts }
  if (failure !== undefined) throw failure
  throw new Problem('model_not_ready', `The model server does not serve model "${model}" yet.`, {
    detail: `404 on ${protocols.map((protocol) => `${upstream.origin}${upstream.pathPrefix}/${protocol}/models/${model}`).join(' and ')}`,
  })
}

// Undefined = 404: no such protocol, or no such model.
async function ask(upstream: HttpUpstream, path: string): Promise<Record<string, unknown> | undefined> {
  const address = `GET ${upstream.origin}${upstream.pathPrefix}${path}`
  const deadline: Deadline & { problem: Problem | undefined } = {
    atMs: performance.now() + PROBE_TIMEOUT_MS,
    problem: undefined,
    waiting: undefined,
  }
  const timer = setTimeout(() => {
    deadline.problem = new Problem('upstream_unreachable', 'The model server does not answer.', {
      detail: `${address}: nothing for ${PROBE_TIMEOUT_MS} ms`,
    })
    deadline.waiting?.(deadline.problem)
  }, PROBE_TIMEOUT_MS)
  try {
    const host = upstream.host === undefined ? [] : ['host', upstream.host]
    const answer = await callHttp(
      upstream.dispatcher,
      {
        method: 'GET',
        path: upstream.pathPrefix + path,
        headers: [...host, ...(await upstream.credential.headers(upstream.origin))],
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
    clearTimeout(timer)
  }
}

function readFacts(metadata: Record<string, unknown>): Omit<ModelFacts, 'protocols'> {
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
