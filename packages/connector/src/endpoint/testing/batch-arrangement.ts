// Sets up an endpoint with batching in front of an in-memory model.
import { batchRulesOf, dialectNames, type BatchRules, type Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, vi } from 'vitest'
import type { Endpoint, EndpointRequest } from '../../step.ts'
import { createLog, OperationFigures } from '../../telemetry/index.ts'
import { ModelBatcher, type BatcherOptions, type BytesHeld } from '../batching/model-batcher.ts'
import { withBatching } from '../with-batching.ts'
import { answer, BatchModel } from './batch-model.ts'

/** Registers hooks that replace the timers and the clock during each test. */
export function fakeClock(): void {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
  afterEach(() => void vi.useRealTimers())
}

/** The rules of `predict`. */
export const PREDICT = dialectNames()
  .map((dialect) => batchRulesOf('predict', dialect))
  .find((rules) => rules !== undefined)!

/** The bytes that are held. */
export class ByteCount implements BytesHeld {
  bytes = 0

  take(bytes: number): void {
    this.bytes += bytes
  }

  give(bytes: number): void {
    this.bytes -= bytes
  }
}

/** Creates an endpoint whose calls wait for `release`. */
export function arrange(options: Partial<BatcherOptions> = {}, rules: BatchRules | undefined = PREDICT) {
  const lines: Record<string, unknown>[] = []
  const sink = { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) }
  const budget = new ByteCount()
  const batcher = new ModelBatcher({
    model: 'm',
    concurrency: 1,
    sizeMax: 8,
    delayMaxMs: 0,
    isLearning: false,
    requestBytesMax: 1_000_000,
    budget,
    log: createLog({ level: 'info', format: 'json' }, sink),
    ...options,
  })
  batcher.isMerging = true
  const figures = new OperationFigures('m', 'predict')
  const releases: (() => void)[] = []
  const model = new BatchModel(() => new Promise((resolve) => releases.push(resolve)))
  const bind = (inner: Endpoint): Endpoint => withBatching(inner, { batcher, rules, figures })
  const release = async (): Promise<void> => {
    for (const resolve of releases.splice(0)) resolve()
    await settled()
  }
  return { batcher, budget, model, figures, lines, bind, endpoint: bind(model), release }
}

/** Resolves after a few turns of the event loop. */
export const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

/** Returns a request body. */
export const instances = (...values: unknown[]): string => JSON.stringify({ instances: values })

/** Returns the number of instances in each call. */
export const sizes = (model: BatchModel): number[] =>
  model.calls.map(({ body }) => (JSON.parse(body.toString()) as { instances: unknown[] }).instances.length)

/** Resolves with the parsed answer, or with the status of the problem. */
export async function outcomeOf(promise: Promise<{ body: Uint8Array }>): Promise<unknown> {
  try {
    return JSON.parse(Buffer.from((await promise).body).toString())
  } catch (error) {
    return (error as Problem).status
  }
}

/** Returns the outcome of a request that is not merged with others; see `outcomeOf`. */
export function singleOutcome(request: EndpointRequest): unknown {
  try {
    return JSON.parse(Buffer.from(answer(request).body).toString())
  } catch (error) {
    return (error as Problem).status
  }
}
