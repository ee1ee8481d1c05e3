// The cases of two features that need several requests: batching, and the priority of requests.
import type { RequestProperties } from '../fixtures/mqtt-client.ts'
import { binaryInput, floats, inputs, inputsWith, instances, tensor } from './bodies.ts'
import { modelsOn, type ModelOptions, type TestedModel } from './case.ts'
import type { RealServer } from './servers.ts'
import type { WayName } from './ways.ts'

/** A request of a feature's case. */
export interface FeatureRequest {
  readonly body: string | Buffer
  readonly properties?: RequestProperties
}

/** The features, in the order of the page. */
export const FEATURES = ['batching', 'priority'] as const

/** A feature that is tested with a real server. */
export interface FeatureCase {
  readonly feature: (typeof FEATURES)[number]
  readonly server: RealServer
  readonly way: WayName
  /** The model that has the feature. */
  readonly model: TestedModel
  /**
   * For batching: requests with different answers. For priority: a request that runs while the others wait, then one with
   * a low priority, then one with a high priority.
   */
  readonly requests: readonly FeatureRequest[]
}

/** Returns the model of a batching case, without batching. */
export function withoutBatching({ model }: FeatureCase): TestedModel {
  return { ...model, label: 'single', options: { limits: { concurrency: 1 } } }
}

// One row of each class of the iris data, and the pairs of these rows. Each pair has different predictions.
const FLOWERS = [
  [5.1, 3.5, 1.4, 0.2],
  [6, 2.7, 4.2, 1.3],
  [6.7, 3, 5.2, 2.3],
] as const
const PAIRS = FLOWERS.flatMap((one) => FLOWERS.map((other) => [one, other]))
const EIGHT = Array.from({ length: 8 }, (_, index) => index)

const pairs = (input: string): FeatureRequest[] =>
  PAIRS.map((pair, index) => ({
    body: inputsWith({ id: `r${index}` }, tensor(input, 'FP32', pair.flat(), [2, 4])),
  }))
const binaryPairs = (input: string): FeatureRequest[] =>
  PAIRS.map((pair, index) => binaryInput(input, [2, 4], floats(...pair.flat()), { id: `r${index}` }))

// The batch ends when it has this number of rows. The delay is far longer than the requests need to arrive.
const merging = (rows: number): ModelOptions => ({
  limits: { concurrency: 1 },
  batching: { sizeMax: rows, delayMaxMs: 1_000 },
})
const PAIR_ROWS = merging(2 * PAIRS.length)

const batching = (
  server: RealServer,
  way: WayName,
  [name, requests, options = PAIR_ROWS]: readonly [string, readonly FeatureRequest[], ModelOptions?],
): FeatureCase => {
  const on = modelsOn(server, way.endsWith('Grpc') ? 'grpc' : undefined)
  return { feature: 'batching', server, way, model: on(name, 'batching', options), requests }
}

// Without `outputs`, Triton's model also reports how many rows it executed together.
const Y = [{ name: 'y' }]
const BINARY_Y = [{ name: 'y', parameters: { binary_data: true } }]
const doubled = EIGHT.map((index) => ({
  body: inputsWith({ id: `r${index}`, outputs: Y }, tensor('x', 'FP32', [index], [1, 1])),
}))
const doubledBinary = EIGHT.map((index) =>
  binaryInput('x', [1, 1], floats(index), { id: `r${index}`, outputs: BINARY_Y }),
)

const BATCHING: readonly FeatureCase[] = [
  batching('kserve', 'predict', ['iris', PAIRS.map((pair) => ({ body: instances(...pair) }))]),
  batching('kserve', 'infer', ['iris', pairs('input-0')]),
  batching('kserve', 'inferBinary', ['iris', binaryPairs('input-0')]),
  batching('kserve', 'inferGrpc', ['iris', pairs('input-0')]),
  batching('kserve', 'inferBinaryGrpc', ['iris', binaryPairs('input-0')]),
  batching('triton', 'infer', ['batch', doubled, merging(8)]),
  batching('triton', 'inferBinary', ['batch', doubledBinary, merging(8)]),
  batching('triton', 'inferGrpc', ['batch', doubled, merging(8)]),
  batching('triton', 'inferBinaryGrpc', ['batch', doubledBinary, merging(8)]),
  batching('mlserver', 'infer', ['iris', pairs('predict')]),
  batching('mlserver', 'inferGrpc', ['iris', pairs('predict')]),
  batching('mlserver', 'inferBinaryGrpc', ['iris', binaryPairs('predict')]),
]

// The first request runs for this long, in milliseconds: longer than it takes to read the metrics of all models, which
// show that the request runs.
const RUN_MS = 1_600
const DELAYS_MS = [RUN_MS, 1, 1] as const

const priority = (
  server: RealServer,
  way: WayName,
  [name, bodyOf]: readonly [string, (delayMs: number) => string],
): FeatureCase => {
  const on = modelsOn(server, way.endsWith('Grpc') ? 'grpc' : undefined)
  const model = on(name, 'priority', { limits: { concurrency: 1 } })
  const requests = DELAYS_MS.map((delayMs) => ({ body: bodyOf(delayMs) }))
  return { feature: 'priority', server, way, model, requests }
}

const delay =
  (...shape: number[]) =>
  (delayMs: number): string =>
    inputs(tensor('x', 'INT32', [delayMs], shape))
const chat = (delayMs: number): string =>
  JSON.stringify({ messages: [{ role: 'user', content: 'one' }], delay_ms: delayMs })

const PRIORITY: readonly FeatureCase[] = [
  priority('kserve', 'predict', ['slow', (delayMs) => instances(delayMs)]),
  priority('kserve', 'infer', ['slow', delay(1)]),
  priority('kserve', 'inferGrpc', ['slow', delay(1)]),
  priority('triton', 'infer', ['slow', delay(1, 1)]),
  priority('triton', 'inferGrpc', ['slow', delay(1, 1)]),
  priority('mlserver', 'infer', ['slow', delay(1)]),
  priority('mlserver', 'inferGrpc', ['slow', delay(1)]),
  priority('openai', 'chat', ['words', chat]),
]

/** All cases of features. */
export const FEATURE_CASES: readonly FeatureCase[] = [...BATCHING, ...PRIORITY]

// Without batching, as a warm-up, and with batching.
const BATCHING_ROUNDS = 3

/** The number of requests that a case sends. */
export function requestsOf({ feature, requests }: FeatureCase): number {
  return feature === 'batching' ? BATCHING_ROUNDS * requests.length : requests.length
}
