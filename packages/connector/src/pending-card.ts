// Builds the card of a model that cannot be called, from what is known without its server.
import {
  defaultOperationOf,
  dialectNames,
  operationsOf,
  protocolOf,
  type ModelCard,
  type ModelState,
  type OperationName,
  type TopicSpace,
} from '@inferwire/protocol'
import type { ModelConfig } from './config/index.ts'
import { modelCard } from './presence/index.ts'
import type { ModelTraits } from './step.ts'

/** A model that cannot be called. */
export interface PendingModel {
  readonly name: string
  readonly config: Omit<ModelConfig, 'url' | 'host'>
  readonly traits: ModelTraits
  readonly condition: { readonly state: ModelState; readonly reason?: string | undefined }
}

/** Returns the card. If the protocol is not known, it lists the operations that all protocols have. */
export function pendingCard(
  topics: TopicSpace,
  { name, config, traits, condition }: PendingModel,
): ModelCard {
  const { protocolVersion, limits } = config
  const { dialects } = protocolOf(protocolVersion)
  const isKnown = protocolVersion !== undefined
  const operations = (isKnown ? operationsOf(dialects) : commonOperations()).filter(
    (each) => traits.operations?.includes(each) ?? true,
  )
  const preferred = defaultOperationOf(dialects)
  return modelCard(topics, {
    name,
    state: condition.state,
    reason: condition.reason,
    protocolVersions: isKnown ? dialects : [],
    operations,
    defaultOperation: operations.includes(preferred) ? preferred : operations[0]!,
    requestBytesMax: limits.requestBytesMax,
    responseBytesMax: limits.responseBytesMax,
    timeoutMs: config.timeoutMs,
  })
}

function commonOperations(): OperationName[] {
  return operationsOf(dialectNames()).filter((name) =>
    dialectNames().every((dialect) => operationsOf([dialect]).includes(name)),
  )
}
