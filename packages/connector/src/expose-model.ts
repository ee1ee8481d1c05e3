// Makes a configured model askable: its connections, its bounds, its operations, its card.
import {
  defaultOperationOf,
  OPERATIONS,
  operationsOf,
  type InferenceProtocol,
  type ModelCard,
  type OperationName,
  type TopicSpace,
} from '@inferwire/protocol'
import type { Pool } from 'undici'
import { ModelGate, type ByteBudget } from './admission/index.ts'
import type { ModelConfig } from './config/index.ts'
import { createCredential } from './credential/index.ts'
import { modelCard } from './discovery/index.ts'
import { openPool, v1Endpoints, v2Endpoints, type HttpUpstream, type ModelFacts } from './endpoint/index.ts'
import type { BoundOperation, Endpoint, ExposedModel } from './step.ts'
import type { Telemetry } from './telemetry/index.ts'

/** The way to one configured model's server. */
export interface ModelUpstream extends HttpUpstream {
  readonly pool: Pool
}

/** Opens the way to a model's server; no connection is made before the first call. */
export function openUpstream(config: ModelConfig): ModelUpstream {
  const url = new URL(config.url)
  // All that the gates of the model and its versions let run, twice over: dead calls may still be connecting. And the probe.
  const connectionsMax = 2 * config.limits.concurrency * (1 + config.versions.length) + 4
  const pool = openPool({ url: config.url, tls: config.tls, connectionsMax })
  return {
    pool,
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
  protocols: readonly InferenceProtocol[],
  upstream: HttpUpstream,
  upstreamName: string,
  version: string | undefined,
  telemetry: Telemetry,
): Map<OperationName, BoundOperation> {
  const endpoints: Record<InferenceProtocol, Map<OperationName, Endpoint>> = {
    v1: v1Endpoints(upstream, upstreamName),
    v2: v2Endpoints(upstream, upstreamName, version),
  }
  return new Map(
    operationsOf(protocols).map((name) => {
      const protocol = OPERATIONS[name].protocols.find((candidate) => protocols.includes(candidate))!
      const { hasBody } = OPERATIONS[name]
      const endpoint = endpoints[protocol].get(name)!
      return [name, { name, protocol, hasBody, endpoint, figures: telemetry.figures(exposedName, name) }]
    }),
  )
}
