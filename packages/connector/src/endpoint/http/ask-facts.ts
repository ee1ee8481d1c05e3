// Queries a model server for the dialects of a model, and for the metadata of the model and of its versions.
import {
  operationRoute,
  Problem,
  versionedDialects,
  type Dialect,
  type TensorMetadata,
} from '@inferwire/protocol'
import type { ModelDescription, ModelFacts, VersionFacts } from '../../step.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import { ask, isObject, type Metadata } from './ask.ts'
import { askModelList, hasModelList } from './ask-model-list.ts'
import { askOptionalOperations } from './ask-operations.ts'
import type { HttpTarget } from './http-endpoint.ts'

// Limits the description, because it becomes part of a retained message.
const ENTRIES_MAX = 64

/** The model to query. */
export interface AskedModel {
  /** The model's name on its server. */
  readonly name: string
  /** The dialects that the server may support, in order of preference. */
  readonly dialects: readonly Dialect[]
  /** The configured versions. */
  readonly versions: readonly string[]
  /** For each dialect with several possible path prefixes: the server's prefix, if it is known. */
  readonly prefixes: Map<Dialect, string>
}

/**
 * Requests the model's metadata in each dialect. If one dialect succeeds, an error in another means that the server
 * does not support that other dialect. The error may be a 404, a 400, a 401, a 405 or a web page, because servers
 * answer requests for unknown paths differently. A dialect counts as unanswered only if a later query may succeed.
 * Finally, the metadata of each configured version is requested, because the model's metadata does not describe
 * versions.
 * @throws Problem: `model_not_ready` if every response was 404, otherwise the reason why no dialect succeeded. Once
 * `signal` is aborted, any Problem may be thrown.
 */
export async function askFacts(
  target: HttpTarget,
  model: AskedModel,
  signal: AbortSignal,
): Promise<ModelFacts> {
  const found: Dialect[] = []
  const unanswered: Dialect[] = []
  let description: ModelDescription = {}
  let refusal: Problem | undefined
  let failure: UpstreamFailure | undefined
  for (const dialect of model.dialects) {
    const route = operationRoute('metadata', dialect, model.name)
    if (route === undefined) continue
    try {
      const metadata = await askMetadata(target, dialect, model, signal)
      if (metadata === undefined) continue
      found.push(dialect)
      // Dialects are in order of preference, so the first description has priority.
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
  if (found.length > 0) {
    const optional = await askOptionalOperations(target, model, found, signal)
    const facts: ModelFacts = {
      protocolVersions: found,
      unanswered: [...unanswered, ...optional.unanswered],
      ...(optional.offered.length === 0 ? {} : { optionalOperations: optional.offered }),
      ...description,
    }
    return model.versions.length === 0
      ? facts
      : { ...facts, ofVersions: await askVersions(target, model, signal) }
  }
  const reason = failure ?? refusal
  if (reason !== undefined) throw reason
  const paths = model.dialects.map((dialect) => operationRoute('metadata', dialect, model.name)?.path)
  throw new Problem('model_not_ready', `The model server does not serve model "${model.name}" yet.`, {
    detail: `404 on ${paths.map((path) => `${target.origin}${target.pathPrefix}${path}`).join(' and ')}`,
  })
}

// Returns undefined if the server does not have the model in this dialect. If the paths of a dialect do not contain the
// model, the server's list of models is queried. This list contains no descriptions.
async function askMetadata(
  target: HttpTarget,
  dialect: Dialect,
  { name, prefixes }: AskedModel,
  signal: AbortSignal,
): Promise<Metadata | undefined> {
  if (!hasModelList(dialect)) return ask(target, operationRoute('metadata', dialect, name)!, signal)
  const list = await askModelList(target, dialect, name, signal)
  if (list !== undefined) prefixes.set(dialect, list.prefix)
  return list?.entry === undefined ? undefined : {}
}

// Queries the versions in parallel. There are at most 64, and a query that hangs must not delay the other queries.
async function askVersions(
  target: HttpTarget,
  model: AskedModel,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, VersionFacts>> {
  const answers = model.versions.map(
    async (version) => [version, await askVersion(target, model, version, signal)] as const,
  )
  return new Map(await Promise.all(answers))
}

// Returns the facts from the first dialect, in order of preference, that describes the version.
async function askVersion(
  target: HttpTarget,
  model: AskedModel,
  version: string,
  signal: AbortSignal,
): Promise<VersionFacts> {
  let facts: VersionFacts = {
    state: 'missing',
    reason: 'the server supports no protocol version with model versions',
  }
  for (const dialect of versionedDialects().filter((each) => model.dialects.includes(each))) {
    const route = operationRoute('metadata', dialect, model.name, version)
    if (route === undefined) continue
    try {
      const metadata = await ask(target, route, signal)
      if (metadata !== undefined) return { state: 'described', description: readDescription(metadata) }
      facts = { state: 'missing', reason: `404 on ${target.origin}${target.pathPrefix}${route.path}` }
    } catch (error) {
      if (error instanceof UpstreamFailure) return { state: 'unanswered' }
      const { message, detail } = Problem.from(error)
      facts = { state: 'missing', reason: detail ?? `${target.pathPrefix}${route.path}: ${message}` }
    }
  }
  return facts
}

/** Reads the members of a V2 model description that a card can show. */
export function readDescription(metadata: Metadata): ModelDescription {
  const { platform } = metadata
  const versions = wholeList(metadata['versions'], toShortText)
  const inputs = wholeList(metadata['inputs'], toTensor)
  const outputs = wholeList(metadata['outputs'], toTensor)
  return {
    ...(typeof platform === 'string' && platform !== '' ? { platform: platform.slice(0, 100) } : {}),
    ...(versions === undefined ? {} : { versions }),
    ...(inputs === undefined ? {} : { inputs }),
    ...(outputs === undefined ? {} : { outputs }),
  }
}

// Omits a list that is too long or has a malformed entry: readers would mistake a partial list for the complete
// interface. The operation `metadata` still returns the server's complete answer.
function wholeList<Entry>(
  value: unknown,
  toEntry: (value: unknown) => Entry | undefined,
): Entry[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > ENTRIES_MAX) return undefined
  const entries = value.flatMap((each: unknown) => toEntry(each) ?? [])
  return entries.length === value.length ? entries : undefined
}

function toShortText(value: unknown): string | undefined {
  return typeof value === 'string' && value.length > 0 && value.length <= 200 ? value : undefined
}

function toTensor(value: unknown): TensorMetadata | undefined {
  if (!isObject(value)) return undefined
  const name = toShortText(value['name'])
  const datatype = toShortText(value['datatype'])
  const { shape } = value
  if (name === undefined || datatype === undefined || !isShape(shape)) return undefined
  return { name, datatype, shape }
}

function isShape(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= 16 && value.every((size) => Number.isSafeInteger(size))
}
