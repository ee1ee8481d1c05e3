// Queries one configured model's server outside a running connector, for `inferwire doctor`.
import assert from 'node:assert/strict'
import {
  defaultOperationOf,
  dialectOf,
  isOperationName,
  operationsOf,
  Problem,
  TopicSpace,
  writeJson,
} from '@inferwire/protocol'
import { RequestDeadline } from './admission/index.ts'
import { definitionOfCredential, type ConnectorConfig, type ModelConfig } from './config/index.ts'
import { CredentialStore } from './credential/index.ts'
import { HttpUpstream } from './endpoint/index.ts'
import { openModelUpstream } from './open-model-upstream.ts'
import { modelCard } from './presence/index.ts'
import type { ModelFacts } from './step.ts'
import { createLog } from './telemetry/index.ts'

const LATE = 'The model did not answer before the time limit.'

/** A client of one model's server, with the model's TLS and credential, but without retries and circuit breaker. */
export interface ModelProbe {
  /** Queries the metadata. @throws Problem, whose `detail` is for the operator */
  facts(signal: AbortSignal): Promise<ModelFacts>
  /** Returns the names of the models that the server lists; empty if it has no list. */
  names(signal: AbortSignal): Promise<readonly string[]>
  /**
   * Runs the model once with the example of its card. Returns the name of the operation; undefined if the card has no
   * example. @throws Problem; `deadline_exceeded` when the signal is aborted
   */
  sample(facts: ModelFacts, signal: AbortSignal): Promise<string | undefined>
  close(): Promise<void>
}

/** Opens a client; it connects on the first call. @throws if a file cannot be read */
export function openModelProbe(
  name: string,
  config: ModelConfig,
  credentials: ConnectorConfig['credentials'],
): ModelProbe {
  // A failed credential is reported by the call that needs it.
  const log = createLog({ level: 'error', format: 'json' }, { write: () => {} })
  const definition = definitionOfCredential(config, credentials)
  assert(definition, 'loadConfig checks the names of credentials')
  const upstream = openModelUpstream(name, config, config, {
    definition,
    credentials: new CredentialStore(log),
  })
  return {
    facts: (signal) => upstream.facts(signal),
    names: (signal) => (upstream instanceof HttpUpstream ? upstream.modelNames(signal) : Promise.resolve([])),
    sample: async (facts, signal) => {
      const example = exampleOf(name, config, facts)
      if (example === undefined || !isOperationName(example.operation)) return undefined
      const dialect = dialectOf(example.operation, facts.protocolVersions)
      const endpoint = dialect && upstream.endpoint(example.operation, dialect)
      if (endpoint === undefined) return undefined
      const nowMs = performance.now()
      const deadline = new RequestDeadline(nowMs, config.timeoutMs, nowMs)
      const stop = (): void => deadline.stop(new Problem('deadline_exceeded', LATE))
      signal.addEventListener('abort', stop, { once: true })
      if (signal.aborted) stop()
      try {
        await endpoint.call({
          body: Buffer.from(writeJson(example.body)),
          contentType: 'application/json',
          inferenceHeaderContentLength: undefined,
          headers: [],
          deadline,
          emit: undefined,
        })
        return example.operation
      } finally {
        signal.removeEventListener('abort', stop)
        deadline.end()
      }
    },
    close: () => upstream.destroy(),
  }
}

function exampleOf(name: string, config: ModelConfig, facts: ModelFacts) {
  const { protocolVersions } = facts
  const defaultOperation = defaultOperationOf(protocolVersions)
  return modelCard(new TopicSpace('infer'), {
    ...facts,
    state: 'ready',
    name,
    operations: operationsOf(protocolVersions, facts.optionalOperations ?? []),
    defaultOperation,
    example: config.example,
    requestBytesMax: config.limits.requestBytesMax,
    responseBytesMax: config.limits.responseBytesMax,
    timeoutMs: config.timeoutMs,
  }).example
}
