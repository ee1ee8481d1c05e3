// One process of the connector: its real components, assembled by the connector's own composition.
import { loadConfig, type ConnectorConfig } from '@inferwire/connector'
import { Problem } from '@inferwire/protocol'
import { ModelGate } from '../../packages/connector/src/admission/index.ts'
import { compose, type Composition } from '../../packages/connector/src/compose.ts'
import { ModelBatcher, withBatching } from '../../packages/connector/src/endpoint/index.ts'
import type { ByteStream } from '../../packages/connector/src/internal.ts'
import type { ReceivedDelivery } from '../../packages/connector/src/session/index.ts'
import type { BoundOperation, Delivery, Endpoint } from '../../packages/connector/src/step.ts'
import type { Log } from '../../packages/connector/src/telemetry/index.ts'
import { SIMULATED_RULES } from './batch-rules.ts'
import type { Owner } from './clock.ts'
import type { KeptRequests } from './kept-requests.ts'
import type { SimulatedEndpoint } from './model-server.ts'
import type { BugHooks } from './planted-bugs.ts'
import type { ModelName, Scenario } from './scenario.ts'

type GateLimits = ConstructorParameters<typeof ModelGate>[1]

/** How long an answer is remembered if its request has no Message Expiry Interval, in milliseconds. */
export const DUPLICATE_WINDOW_MS = 120_000
const DUPLICATES = { bytesMax: 1_000_000, windowMs: DUPLICATE_WINDOW_MS }

/** The parts of the simulated world that a process uses. */
export interface ProcessWorld {
  readonly scenario: Scenario
  readonly bug: BugHooks | undefined
  readonly log: Log
  readonly kept: KeptRequests
  /** Number of the process. */
  readonly process: number
  dial(owner: Owner, signal: AbortSignal): Promise<ByteStream>
}

/** A running process. It stops at `drain`, or when its owner is killed. */
export class SimulatedConnector {
  readonly owner: Owner
  readonly endpoint: SimulatedEndpoint
  readonly #scenario: Scenario
  readonly #rooms: Composition
  readonly #gates: readonly ModelGate[]
  readonly #batcher: ModelBatcher
  #kept: readonly Delivery[]

  constructor(owner: Owner, endpoint: SimulatedEndpoint, world: ProcessWorld) {
    const { scenario, bug, log } = world
    const { packetIds } = scenario
    this.owner = owner
    this.endpoint = endpoint
    this.#scenario = scenario
    this.#rooms = compose({
      config: configOf(scenario, bug),
      log,
      models: () => ({ cards: new Map(), ready: [], notReady: [], requestBytesMax: REQUEST_BYTES_MAX }),
      keeper: (delivery) => {
        if (!scenario.canKeep) return undefined
        return bug?.keeper === undefined ? world.kept.keep(delivery) : bug.keeper(delivery)
      },
      ready: () => this.#takeKept(),
      seams: {
        session: {
          identifiers: bug?.identifiers ?? { count: packetIds, distanceMax: packetIds / 2 },
          dial: async (_target, signal) => {
            const stream = await world.dial(owner, signal)
            return bug?.dialled === undefined ? stream : bug.dialled(stream)
          },
        },
        ...(bug?.duplicates === undefined ? {} : { duplicates: bug.duplicates(DUPLICATES) }),
        ...(bug?.publish === undefined ? {} : { publish: bug.publish.bind(bug) }),
        ...(bug?.delivered === undefined
          ? {}
          : { delivered: (delivery) => bug.delivered!(delivery as ReceivedDelivery) }),
      },
    })
    this.#kept = world.kept.taken(world.process)
    const { budget, telemetry } = this.#rooms
    this.#batcher = new ModelBatcher({
      model: 'batched',
      concurrency: bug?.sharedCalls ?? scenario.concurrency,
      requestBytesMax: REQUEST_BYTES_MAX,
      budget,
      log,
      ...scenario.batching,
    })
    const limits = gateLimitsOf(scenario)
    const gate = new ModelGate('m', limits, budget)
    const batchedGate = new ModelGate('batched', batchedLimits(limits, this.#batcher), budget)
    this.#gates = [gate, batchedGate]
    this.#expose('m', endpoint, gate, scenario.mayEmit)
    const figures = telemetry.figures('batched', 'infer')
    const rules = bug?.batchRules?.(SIMULATED_RULES) ?? SIMULATED_RULES
    const batched = withBatching(endpoint, { batcher: this.#batcher, rules, figures })
    this.#expose('batched', noticesLeavers(batched, endpoint), batchedGate, false)
  }

  start(): void {
    this.#rooms.session.start()
  }

  // Handles the requests in safekeeping, as the real connector does at the first session.
  #takeKept(): void {
    for (const delivery of this.#kept) this.#rooms.pipeline.handle(delivery)
    this.#kept = []
  }

  /** Shuts down, as the real connector does on SIGTERM. */
  async drain(): Promise<void> {
    const { presence, session, pipeline } = this.#rooms
    await within(1_000, presence.announce('draining'))
    await within(1_000, session.stopTaking())
    await within(this.#scenario.drainTimeoutMs, pipeline.idle())
    await within(1_000, presence.announce('offline'))
    await session.close()
  }

  /** Whether the process is connected and idle. */
  get isResting(): boolean {
    const { pipeline, session } = this.#rooms
    return pipeline.inFlight === 0 && session.unpublished === 0 && this.left === ''
  }

  /** Describes what the process holds or waits for; empty when the process is idle. */
  get left(): string {
    const { pipeline, session, budget } = this.#rooms
    return Object.entries({
      'requests in flight': pipeline.inFlight,
      'unacknowledged deliveries': session.unacknowledged,
      'unacknowledged publishes': session.unpublished,
      'running calls': this.#gates.reduce((sum, { running }) => sum + running, this.#batcher.running),
      'waiting calls': this.#gates.reduce((sum, { waiting }) => sum + waiting, 0),
      bytes: budget.bytes,
      'no session': session.isReady ? 0 : 1,
    })
      .filter(([, count]) => count !== 0)
      .map(([what, count]) => `${what}: ${count}`)
      .join(', ')
  }

  #expose(name: ModelName, endpoint: Endpoint, gate: ModelGate, mayEmit: boolean): void {
    const { table, telemetry } = this.#rooms
    const operation: BoundOperation = {
      name: 'infer',
      protocol: 'v2',
      hasBody: true,
      mayEmit,
      endpoint,
      figures: telemetry.figures(name, 'infer'),
    }
    table.set({
      name,
      operations: new Map([['infer', operation]]),
      defaultOperation: operation,
      timeoutMs: this.#scenario.modelTimeoutMs,
      repeatable: this.#scenario.repeatable,
      requestBytesMax: REQUEST_BYTES_MAX,
      passHeaders: new Set(),
      gate,
    })
  }
}

// Tells the server when a request leaves its call: a request of a shared call may end before the call does.
function noticesLeavers(batched: Endpoint, server: SimulatedEndpoint): Endpoint {
  return {
    async call(request) {
      try {
        return await batched.call(request)
      } catch (error) {
        server.left(request, Problem.from(error).code)
        throw error
      }
    },
  }
}

const REQUEST_BYTES_MAX = 10_000
// The defaults are parsed only once, because a run of many seeds creates thousands of processes.
const DEFAULTS = loadConfig({ env: {}, flags: { name: 'simulated', poison: { enabled: false } } })

function configOf(scenario: Scenario, bug: BugHooks | undefined): ConnectorConfig {
  return {
    ...DEFAULTS,
    broker: {
      ...DEFAULTS.broker,
      url: 'mqtt://simulated',
      mqttVersion: scenario.protocolVersion === 5 ? 5 : '3.1.1',
      clientId: 'simulated',
      keepAliveSeconds: scenario.keepAliveSeconds,
      connectTimeoutMs: 5_000,
      sessionExpirySeconds: 3_600,
      receiveMaximum: scenario.receiveMaximum,
      reconnect: { minMs: 100, maxMs: 4_000 },
      ackOrder: bug?.ackOrder ?? scenario.ackOrder,
      ackHoldMaxMs: scenario.ackHoldMaxMs,
      share: scenario.share,
    },
    limits: {
      bytesInFlightMax: scenario.bytesInFlightMax,
      duplicates: DUPLICATES,
      client: { inFlightMax: scenario.clientInFlightMax, requestsPerSecond: undefined },
    },
  }
}

function gateLimitsOf({ concurrency, queueDepthMax }: Scenario): GateLimits {
  return { concurrency, queueDepthMax, queueBytesMax: 5_000, queueWaitMaxMs: 5_000 }
}

// The gate counts requests. With batching, the batcher counts the calls, because one call may contain several
// requests.
function batchedLimits(limits: GateLimits, batcher: ModelBatcher): GateLimits {
  return {
    ...limits,
    get concurrency() {
      return batcher.requestsMax
    },
  }
}

async function within(timeoutMs: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)))
  await Promise.race([work, late])
  clearTimeout(timer)
}
