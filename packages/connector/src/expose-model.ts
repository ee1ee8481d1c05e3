// Exposes a configured model: its server, limits, operations and card.
import assert from 'node:assert/strict'
import {
  batchRulesOf,
  defaultOperationOf,
  dialectOf,
  DIALECTS,
  operationRoute,
  OPERATIONS,
  operationsOf,
  optionalOperations,
  protocolOf,
  versionedDialects,
  type BatchRules,
  type Dialect,
  type DialectKind,
  type ModelCard,
  type OperationName,
  type TopicSpace,
} from '@inferwire/protocol'
import { ModelGate, type ByteBudget, type GateLimits } from './admission/index.ts'
import { AUTO_BATCHING, exposedNames, type ModelConfig } from './config/index.ts'
import {
  Circuit,
  mayMerge,
  ModelBatcher,
  RetryBudget,
  withBatching,
  withBreaker,
  withExplainer,
  withRetry,
} from './endpoint/index.ts'
import { openModelUpstream, type UpstreamParts } from './open-model-upstream.ts'
import { modelCard } from './presence/index.ts'
import type {
  BoundOperation,
  Endpoint,
  ExposedModel,
  ModelDescription,
  ModelFacts,
  ModelTraits,
  Upstream,
} from './step.ts'
import type { Log, Telemetry, UpstreamFigures } from './telemetry/index.ts'

/** The server of one configured model, with the guards that all versions and operations share. */
export interface ModelServer {
  readonly upstream: Upstream
  readonly figures: UpstreamFigures
  readonly circuit: Circuit
  readonly retryBudget: RetryBudget
}

// Allows a retry for every call in flight if all of them break at once.
const RETRY_BURST_MIN = 30

/** What `openServer` needs in addition to the options of the model. */
export interface ServerParts extends UpstreamParts {
  readonly log: Log
  readonly telemetry: Telemetry
}

/** Creates the client of a model's server; it connects on the first call. @throws if a file cannot be read */
export function openServer(
  name: string,
  config: ModelConfig,
  traits: ModelTraits,
  parts: ServerParts,
): ModelServer {
  const model = openModelUpstream(name, config, config, parts)
  const { explainer } = traits
  const upstream =
    explainer === undefined ? model : withExplainer(model, openModelUpstream(name, config, explainer, parts))
  return guardServer(name, config, upstream, parts)
}

/** Adds a server's guards (circuit, retry budget), which persist when the model's facts change. */
export function guardServer(
  name: string,
  config: ModelConfig,
  upstream: Upstream,
  { log, telemetry }: { readonly log: Log; readonly telemetry: Telemetry },
): ModelServer {
  const figures = telemetry.upstream(name)
  return {
    upstream,
    figures,
    circuit: new Circuit({
      ...config.circuit,
      timeoutMinMs: config.circuit.timeoutMinMs ?? 0.9 * config.timeoutMs,
      probesMax: Math.ceil(config.limits.concurrency / 2),
      model: name,
      url: config.url,
      log,
      figures,
    }),
    retryBudget: new RetryBudget(Math.max(RETRY_BURST_MIN, config.limits.concurrency), performance.now()),
  }
}

/** An exposed model, with the data that only the registry needs. */
export interface Exposure {
  readonly model: ExposedModel
  readonly gate: ModelGate
  /** Undefined without batching. */
  readonly batcher: ModelBatcher | undefined
  readonly card: ModelCard
  /** The configured default operation, if the model does not offer it. */
  readonly missingDefault: string | undefined
}

/** Options of `exposeModel`. */
export interface ExposeOptions {
  readonly name: string
  readonly config: ModelConfig
  readonly server: ModelServer
  readonly facts: ModelFacts
  readonly traits: ModelTraits
  /** What is wrong with the model although it is ready; a part of a sentence. */
  readonly reason: string | undefined
  /** Existing exposures. Their gates and batchers are reused, because they count the requests that wait or run. */
  readonly before: readonly Pick<Exposure, 'model' | 'gate' | 'batcher'>[]
  readonly topics: TopicSpace
  readonly budget: ByteBudget
  readonly telemetry: Telemetry
  readonly log: Log
}

/** Returns an exposure for the model, and one for each configured version (`{name}@{version}`). */
export function exposeModel(options: ExposeOptions): Exposure[] {
  const { config, facts } = options
  return exposedNames(options.name, config).map((exposedName, index) => {
    const version = config.versions[index - 1]
    const ofModel = { ...facts, isDescribed: facts.isAssumed !== true }
    const described = version === undefined ? ofModel : factsOfVersion(options, version)
    return exposeOne(options, exposedName, described, version)
  })
}

/** The description of one exposed name: the model or one of its versions. */
interface DescribedFacts extends ModelDescription {
  readonly protocolVersions: readonly Dialect[]
  readonly optionalOperations?: readonly OperationName[]
  /** Whether the server has described the model or version. */
  readonly isDescribed: boolean
}

// A configured version is exposed even if the server does not have it yet: requests receive the server's own error.
function factsOfVersion({ config, facts }: ExposeOptions, version: string): DescribedFacts {
  const { dialects } = protocolOf(config.protocolVersion)
  const protocolVersions = versionedDialects().filter((dialect) => dialects.includes(dialect))
  const described = facts.ofVersions?.get(version)
  const optional = facts.optionalOperations
  return {
    protocolVersions,
    isDescribed: described?.state === 'described',
    ...(optional === undefined ? {} : { optionalOperations: optional }),
    ...(described?.state === 'described' ? described.description : {}),
  }
}

function exposeOne(
  options: ExposeOptions,
  exposedName: string,
  facts: DescribedFacts,
  version: string | undefined,
): Exposure {
  const { config, server, topics, budget, telemetry } = options
  const { protocolVersions } = facts
  const optional = facts.optionalOperations ?? assumedOperations(protocolVersions)
  const before = options.before.find(({ model }) => model.name === exposedName)
  const batcher = before?.batcher ?? openBatcher(exposedName, options)
  const gate = before?.gate ?? new ModelGate(exposedName, gateLimits(config, batcher), budget)
  const offered = options.traits.operations
  const names = operationsOf(protocolVersions, optional).filter((each) => offered?.includes(each) ?? true)
  const operations = bindOperations({
    exposedName,
    facts,
    names,
    version,
    config,
    server,
    telemetry,
    batcher,
  })
  const configured = operations.get(config.defaultOperation as OperationName)
  // An embedding server does not have the default operation of its dialect.
  const [first] = operations.values()
  const defaultOperation = configured ?? operations.get(defaultOperationOf(protocolVersions)) ?? first
  assert(defaultOperation, `"${exposedName}" has no operation`)
  const model: ExposedModel = {
    name: exposedName,
    operations,
    defaultOperation,
    timeoutMs: config.timeoutMs,
    requestBytesMax: config.limits.requestBytesMax,
    passHeaders: new Set(config.passHeaders),
    repeatable: config.repeatable,
    openOperations: openOperations(options.facts, protocolVersions, names),
    gate,
  }
  const card = modelCard(topics, {
    ...facts,
    name: exposedName,
    operations: [...operations.keys()],
    defaultOperation: defaultOperation.name,
    description: config.description,
    state: 'ready',
    reason: options.reason,
    example: config.example,
    contentTypes: [...operations.values()].flatMap(({ contentTypes = [] }) => [...contentTypes]),
    requestBytesMax: config.limits.requestBytesMax,
    responseBytesMax: config.limits.responseBytesMax,
    timeoutMs: config.timeoutMs,
  })
  return {
    model,
    gate,
    batcher,
    card,
    missingDefault: configured === undefined ? config.defaultOperation : undefined,
  }
}

// The optional operations to assume if none was found because the server was not queried for them or rejected the
// queries. If the default operation of a dialect is optional, a model of that dialect has at least one of them.
function assumedOperations(dialects: readonly Dialect[]): OperationName[] {
  return dialects.flatMap((dialect) => {
    const optional = optionalOperations(dialect)
    return optional.includes(DIALECTS[dialect].defaultOperation) ? optional : []
  })
}

// The optional operations for which the server was not queried yet, or did not answer.
function openOperations(
  { isAssumed, unanswered }: ModelFacts,
  dialects: readonly Dialect[],
  offered: readonly OperationName[],
): OperationName[] {
  return dialects
    .filter((dialect) => isAssumed === true || unanswered.includes(dialect))
    .flatMap(optionalOperations)
    .filter((name) => !offered.includes(name))
}

interface Binding {
  readonly exposedName: string
  readonly facts: DescribedFacts
  readonly names: readonly OperationName[]
  readonly version: string | undefined
  readonly config: ModelConfig
  readonly server: ModelServer
  readonly telemetry: Telemetry
  readonly batcher: ModelBatcher | undefined
}

function bindOperations(binding: Binding): Map<OperationName, BoundOperation> {
  const { exposedName, facts, names, version, server, telemetry, batcher } = binding
  const { protocolVersions } = facts
  const rulesOf = new Map(names.map((name) => [name, mergeRules(name, binding)]))
  // If nothing can be merged, requests do not pass through the batcher.
  const isMerging = [...rulesOf.values()].some((rules) => rules !== undefined)
  if (batcher !== undefined) batcher.isMerging = isMerging
  const bound = names.flatMap((name): BoundOperation[] => {
    const protocol = dialectOf(name, protocolVersions)!
    const bare = server.upstream.endpoint(name, protocol, version)
    if (bare === undefined) return []
    const { hasBody } = OPERATIONS[name]
    const route = operationRoute(name, protocol, exposedName)
    // Operations without a body (metadata, ready) report the server's current state, so they need no
    // retries and no circuit.
    const single = hasBody ? guarded(bare, binding) : bare
    const figures = telemetry.figures(exposedName, name)
    const mayEmit = route?.stream !== undefined
    const endpoint =
      batcher === undefined || !isMerging
        ? single
        : withBatching(single, { batcher, rules: rulesOf.get(name), figures })
    const contentTypes = hasBody ? opaqueTypes(protocol, binding.config) : {}
    return [{ name, protocol, hasBody, mayEmit, ...contentTypes, endpoint, figures }]
  })
  return new Map(bound.map((operation) => [operation.name, operation]))
}

// How an operation's requests are merged; undefined if they are not merged.
function mergeRules(name: OperationName, { facts, batcher }: Binding): BatchRules | undefined {
  if (batcher === undefined) return undefined
  const rules = batchRulesOf(name, dialectOf(name, facts.protocolVersions)!)
  const signs = { isExplicit: !batcher.options.isLearning, isDescribed: facts.isDescribed }
  return rules !== undefined && mayMerge(rules, facts, signs) ? rules : undefined
}

// Only some dialects define what a server does with a body that does not have the dialect's own content type.
function opaqueTypes(protocol: Dialect, config: ModelConfig): Pick<BoundOperation, 'contentTypes'> {
  const { hasOpaqueBodies }: DialectKind = DIALECTS[protocol]
  if (hasOpaqueBodies !== true || config.contentTypes.length === 0) return {}
  return { contentTypes: new Set(config.contentTypes) }
}

// The circuit is the outer wrapper: it counts the outcome of a call after its retries.
function guarded(endpoint: Endpoint, { config, server }: Binding): Endpoint {
  const { circuit, retryBudget, figures } = server
  const retrying = withRetry(endpoint, {
    ...config.retry,
    isRepeatable: config.repeatable,
    budget: retryBudget,
    figures,
    retrying: (error) => circuit.attemptFailed(error),
  })
  return withBreaker(retrying, circuit)
}

// The gate counts requests. With batching, the batcher counts the calls, because one call may contain several requests.
function gateLimits({ limits }: ModelConfig, batcher: ModelBatcher | undefined): GateLimits {
  if (batcher === undefined) return limits
  const calls = {
    concurrency: limits.concurrency,
    get waiting() {
      return batcher.waiting
    },
  }
  return {
    ...limits,
    calls,
    get concurrency() {
      return batcher.requestsMax
    },
  }
}

function openBatcher(model: string, { config, budget, log }: ExposeOptions): ModelBatcher | undefined {
  const { batching } = config
  if (batching === 'off') return undefined
  const { concurrency, requestBytesMax } = config.limits
  const isLearning = batching === 'auto'
  const sizes = isLearning ? AUTO_BATCHING : batching
  return new ModelBatcher({ model, concurrency, requestBytesMax, budget, log, isLearning, ...sizes })
}
