// Queries a gRPC server for the metadata of a model and of its versions, and for the operations that it has.
import { DIALECTS, Problem, type Dialect } from '@inferwire/protocol'
import type { ModelDescription, ModelFacts, VersionFacts } from '../../step.ts'
import { AskDeadline } from '../ask-deadline.ts'
import { readDescription } from '../http/ask-facts.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import { addressOf, callTarget, type GrpcTarget } from './grpc-target.ts'
import { askMetadata } from './model-state.ts'
import { ABSENT_VERSION } from './version-check.ts'

/**
 * Requests the model's metadata, then the metadata of each configured version and of a version that cannot exist.
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
  const absent = await askVersion(target, name, ABSENT_VERSION, signal)
  const ofVersions = (await Promise.all(answers)).map(
    ([version, found]) => [version, found.state === 'described' ? judged(found, absent) : found] as const,
  )
  return { ...facts, ofVersions: new Map(ofVersions) }
}

// KServe's server ignores the version of a request, so that any version seems to exist.
function judged(found: VersionFacts, absent: VersionFacts): VersionFacts {
  if (absent.state === 'missing') return found
  return absent.state === 'described'
    ? { state: 'missing', reason: 'The model server ignores versions.' }
    : { state: 'unanswered' }
}

async function ask(
  target: GrpcTarget,
  name: string,
  version: string,
  signal: AbortSignal,
): Promise<ModelDescription> {
  const deadline = new AskDeadline(addressOf(target, DIALECTS.v2.grpcMethods.metadata), signal)
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

// Opens a stream without sending a request, so that no model is called. Returns undefined if there was no answer.
async function askStreams(target: GrpcTarget, signal: AbortSignal): Promise<boolean | undefined> {
  const method = DIALECTS.v2.grpcMethods.infer_stream
  const deadline = new AskDeadline(addressOf(target, method), signal)
  try {
    await callTarget(target, { method, frame: undefined, deadline, headers: [], onMessage: () => {} })
    return true
  } catch (error) {
    if (error instanceof UpstreamFailure || !(error instanceof Problem)) return undefined
    // The status 501 stands for UNIMPLEMENTED. A server that has the method may reject the missing request with any
    // error.
    return error.code === 'upstream_error' ? error.status !== 501 : undefined
  } finally {
    deadline.end()
  }
}

// A server that does not know the model may still be loading it.
function toNotReady(error: unknown, name: string): unknown {
  if (!(error instanceof Problem) || error.status !== 404) return error
  return new Problem('model_not_ready', `The model server does not serve model "${name}" yet.`, {
    ...(error.detail === undefined ? {} : { detail: error.detail }),
    cause: error,
  })
}
