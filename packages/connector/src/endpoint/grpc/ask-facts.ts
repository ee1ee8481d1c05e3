// Queries a gRPC server for the metadata of a model and of its versions, and for the operations that it has.
import { status as codes, type StatusObject } from '@grpc/grpc-js'
import { Problem, type Dialect } from '@inferwire/protocol'
import type { ModelDescription, ModelFacts, VersionFacts } from '../../step.ts'
import { AskDeadline } from '../ask-deadline.ts'
import { readDescription } from '../http/ask-facts.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import { callGrpc } from './grpc-call.ts'
import { addressOf, type GrpcTarget } from './grpc-target.ts'
import { judgeStatus } from './judge-status.ts'
import { askMetadata } from './model-state.ts'

/**
 * Requests the model's metadata, then the metadata of each configured version.
 * @throws Problem: `model_not_ready` if the server does not have the model, otherwise the reason why the query failed
 */
export async function askFacts(
  target: GrpcTarget,
  name: string,
  dialects: readonly Dialect[],
  versions: readonly string[],
  signal: AbortSignal,
): Promise<ModelFacts> {
  const description = await ask(target, name, '', signal).catch((error: unknown) => {
    throw toNotReady(error, name)
  })
  const hasStreams = await askStreams(target, signal)
  const facts: ModelFacts = {
    protocolVersions: dialects,
    unanswered: hasStreams === undefined ? dialects : [],
    ...(hasStreams === true ? { optionalOperations: ['infer_stream'] } : {}),
    ...description,
  }
  if (versions.length === 0) return facts
  const answers = versions.map(
    async (version) => [version, await askVersion(target, name, version, signal)] as const,
  )
  return { ...facts, ofVersions: new Map(await Promise.all(answers)) }
}

async function ask(
  target: GrpcTarget,
  name: string,
  version: string,
  signal: AbortSignal,
): Promise<ModelDescription> {
  const deadline = new AskDeadline(addressOf(target, 'ModelMetadata'), signal)
  try {
    return readDescription({ ...(await askMetadata(target, { name, version }, { deadline, headers: [] })) })
  } finally {
    deadline.end()
  }
}

async function askVersion(
  target: GrpcTarget,
  name: string,
  version: string,
  signal: AbortSignal,
): Promise<VersionFacts> {
  try {
    return { state: 'described', description: await ask(target, name, version, signal) }
  } catch (error) {
    if (error instanceof UpstreamFailure && error.code !== 'model_not_ready') return { state: 'unanswered' }
    const { message, detail } = Problem.from(error)
    return { state: 'missing', reason: detail ?? message }
  }
}

// Opens a stream without a request, which calls no model. Returns undefined if there was no answer.
async function askStreams(target: GrpcTarget, signal: AbortSignal): Promise<boolean | undefined> {
  const address = addressOf(target, 'ModelStreamInfer')
  const deadline = new AskDeadline(address, signal)
  try {
    const status = await callGrpc(target.connection, {
      method: 'ModelStreamInfer',
      headers: await target.credential.headers(target.origin),
      message: undefined,
      deadline,
      sendsTimeout: true,
      address,
      onMessage: () => {},
    })
    if (status.code === codes.UNIMPLEMENTED) return false
    // A server may also report the missing request, with any error of its own.
    return status.code === codes.OK || !(judged(target, status) instanceof UpstreamFailure) || undefined
  } catch {
    return undefined
  } finally {
    deadline.end()
  }
}

function judged(target: GrpcTarget, status: StatusObject): Problem {
  return judgeStatus(status, {
    address: addressOf(target, 'ModelStreamInfer'),
    isReadiness: false,
    errorText: 'none',
    responseBytesMax: target.responseBytesMax,
    hasMessage: false,
  })
}

// A server that knows no model of this name may still be loading it.
function toNotReady(error: unknown, name: string): unknown {
  if (!(error instanceof Problem) || error.status !== 404) return error
  return new Problem('model_not_ready', `The model server does not serve model "${name}" yet.`, {
    ...(error.detail === undefined ? {} : { detail: error.detail }),
    cause: error,
  })
}
