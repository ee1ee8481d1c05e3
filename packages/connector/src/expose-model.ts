// Makes a configured model askable: its connections, its bounds, its operations, its card.
import {
  defaultOperationOf,
  dialectOf,
  OPERATIONS,
  operationsOf,
  type Dialect,
  type ModelCard,
  type OperationName,
  type TopicSpace,
} from '@inferwire/protocol'
import type { Pool } from 'undici'
import { ModelGate, type ByteBudget } from './admission/index.ts'
import type { ModelConfig } from './config/index.ts'
import { createCredential } from './credential/index.ts'
import {
  Circuit,
  openPool,
  RetryBudget,
  v1Endpoints,
  v2Endpoints,
  withBreaker,
  withRetry,
  type HttpUpstream,
} from './endpoint/index.ts'
import { modelCard } from './presence/index.ts'
import type { BoundOperation, Endpoint, ExposedModel, ModelFacts } from './step.ts'
import type { Log, Telemetry, UpstreamFigures } from './telemetry/index.ts'

/** The way to one configured model's server. */
export interface ModelUpstream extends HttpUpstream {
  readonly pool: Pool
  readonly figures: UpstreamFigures
  /** Versions and operations share one server, and so one circuit and one budget. */
  readonly circuit: Circuit
  readonly retryBudget: RetryBudget
}

// What is kept for the moment when every running call breaks at once.
const RETRY_BURST_MIN = 30

/** Opens the way to a model's server; no connection is made before the first call. */
export function openUpstream(
  name: string,
  config: ModelConfig,
  { log, telemetry }: { readonly log: Log; readonly telemetry: Telemetry },
): ModelUpstream {
  const url = new URL(config.url)
  // All that the gates of the model and its versions let run, twice over: dead calls may still be connecting. And the probe.
  const callsMax = 2 * config.limits.concurrency * (1 + config.versions.length) + 4
  const pool = openPool({ url: config.url, tls: config.tls, callsMax })
  const figures = telemetry.upstream(name)
  return {
    pool,
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
    dispatcher: pool,
    origin: url.origin,
    pathPrefix: url.pathname.replace(/\/+$/, ''),
    host: config.host,
    credential: createCredential(config.credential, url.origin),
    responseBytesMax: config.limits.responseBytesMax,
  }
}

/** An exposed model with what the connector needs beside the pipeline. */
export interface Exposure {
  readonly model: ExposedModel
  readonly gate: ModelGate
  readonly card: ModelCard
}

/** One exposure for the model, and one for each configured version (`{name}@{version}`). */
export function exposeModel(
  name: string,
  config: ModelConfig,
  upstream: ModelUpstream,
  facts: ModelFacts,
  shared: { readonly topics: TopicSpace; readonly budget: ByteBudget; readonly telemetry: Telemetry },
): Exposure[] {
  const versions = config.versions.map((version) => ({ exposedName: `${name}@${version}`, version }))
  return [{ exposedName: name, version: undefined }, ...versions].map(({ exposedName, version }) => {
    const protocols = version === undefined ? facts.protocols : (['v2'] as const)
    const upstreamName = config.as ?? name
    const gate = new ModelGate(exposedName, config.limits, shared.budget)
    const operations = bindOperations(
      exposedName,
      protocols,
      upstream,
      upstreamName,
      version,
      config,
      shared.telemetry,
    )
    const defaultOperation =
      (config.defaultOperation === undefined
        ? undefined
        : operations.get(config.defaultOperation as OperationName)) ??
      operations.get(defaultOperationOf(protocols))!
    const model: ExposedModel = {
      name: exposedName,
      operations,
      defaultOperation,
      timeoutMs: config.timeoutMs,
      requestBytesMax: config.limits.requestBytesMax,
      passHeaders: new Set(config.passHeaders),
      repeatable: config.repeatable,
      gate,
    }
    const card = modelCard(shared.topics, {
      ...facts,
      name: exposedName,
      protocols,
      operations: [...operations.keys()],
      defaultOperation: defaultOperation.name,
      description: config.description,
      example: config.example,
      requestBytesMax: config.limits.requestBytesMax,
      responseBytesMax: config.limits.responseBytesMax,
      timeoutMs: config.timeoutMs,
    })
    return { model, gate, card }
  })
}

function bindOperations(
  exposedName: string,
  protocols: readonly Dialect[],
  upstream: ModelUpstream,
  upstreamName: string,
  version: string | undefined,
  config: ModelConfig,
  telemetry: Telemetry,
): Map<OperationName, BoundOperation> {
  const endpoints: Record<Dialect, Map<OperationName, Endpoint>> = {
    v1: v1Endpoints(upstream, upstreamName),
    v2: v2Endpoints(upstream, upstreamName, version),
  }
  return new Map(
    operationsOf(protocols).map((name) => {
      const protocol = dialectOf(name, protocols)!
      const { hasBody } = OPERATIONS[name]
      const bare = endpoints[protocol].get(name)!
      // metadata and ready ask about the server: what it says now is the answer, and says little about the model.
      const endpoint = hasBody ? guarded(bare, upstream, config) : bare
      return [
        name,
        { name, protocol, hasBody, mayEmit: false, endpoint, figures: telemetry.figures(exposedName, name) },
      ]
    }),
  )
}

// Batching, where there is one, goes around this.
function guarded(endpoint: Endpoint, upstream: ModelUpstream, config: ModelConfig): Endpoint {
  const { circuit, retryBudget, figures } = upstream
  const retrying = withRetry(endpoint, {
    ...config.retry,
    isRepeatable: config.repeatable,
    budget: retryBudget,
    figures,
  })
  return withBreaker(retrying, circuit)
}
