// One process of the connector: the real session and the real pipeline, put together as connector.ts does.
import { TopicSpace } from '@inferwire/protocol'
import { ByteBudget, Clients, ModelGate, Policy } from '../../packages/connector/src/admission/index.ts'
import { Duplicates } from '../../packages/connector/src/duplicates/index.ts'
import { Pipeline } from '../../packages/connector/src/pipeline.ts'
import { ModelTable } from '../../packages/connector/src/route/index.ts'
import type { ByteStream } from '../../packages/connector/src/session/dial.ts'
import { MqttSession } from '../../packages/connector/src/session/index.ts'
import type { BoundOperation } from '../../packages/connector/src/step.ts'
import { createLog, ProblemLog, Telemetry } from '../../packages/connector/src/telemetry/index.ts'
import type { Owner } from './clock.ts'
import type { SimulatedEndpoint } from './model-server.ts'
import type { PlantedBug } from './planted-bugs.ts'
import type { Scenario } from './scenario.ts'

/** The topic of the connector's own status. */
const STATUS_TOPIC = 'infer/status/simulated'

/** How long an answer is remembered whose request named no expiry. */
export const DUPLICATE_WINDOW_MS = 120_000
const DUPLICATES = { bytesMax: 1_000_000, windowMs: DUPLICATE_WINDOW_MS }

const topics = new TopicSpace('infer')

/** What a process needs of the world. */
export interface ProcessWorld {
  readonly scenario: Scenario
  readonly bug: PlantedBug | undefined
  readonly log: ReturnType<typeof createLog>
  dial(owner: Owner, signal: AbortSignal): Promise<ByteStream>
}

/** See the file's first line. It ends by `drain`, or by its owner's death. */
export class SimulatedConnector {
  readonly owner: Owner
  readonly endpoint: SimulatedEndpoint
  readonly #scenario: Scenario
  readonly #telemetry = new Telemetry()
  readonly #budget: ByteBudget
  readonly #gate: ModelGate
  readonly #clients: Clients
  readonly #session: MqttSession
  readonly #pipeline: Pipeline

  constructor(owner: Owner, endpoint: SimulatedEndpoint, world: ProcessWorld) {
    const { scenario, bug, log } = world
    this.owner = owner
    this.endpoint = endpoint
    this.#scenario = scenario
    this.#budget = new ByteBudget(scenario.bytesInFlightMax)
    const limits = {
      concurrency: scenario.concurrency,
      queueDepthMax: scenario.queueDepthMax,
      queueBytesMax: 5_000,
      queueWaitMaxMs: 5_000,
    }
    this.#gate = new ModelGate('m', limits, this.#budget)
    this.#clients = new Clients({
      inFlightMax: scenario.clientInFlightMax,
      requestsPerSecond: undefined,
    })
    this.#pipeline = new Pipeline({
      topics,
      models: this.#models(),
      policy: new Policy(undefined),
      publish: (reply) => {
        const publish = (): ReturnType<MqttSession['publish']> => this.#session.publish(reply)
        return bug?.publish === undefined
          ? publish()
          : bug.publish(reply, (given) => this.#session.publish(given))
      },
      budget: this.#budget,
      clients: this.#clients,
      duplicates: bug?.duplicates?.(DUPLICATES) ?? new Duplicates(DUPLICATES),
      suspicion: undefined,
      deadLetterTopic: undefined,
      telemetry: this.#telemetry,
      problemLog: new ProblemLog(log),
      log,
    })
    this.#session = new MqttSession(
      {
        url: 'mqtt://simulated',
        tls: {} as never,
        protocolVersion: scenario.protocolVersion,
        clientId: 'simulated',
        password: () => undefined,
        keepAliveSeconds: scenario.keepAliveSeconds,
        connectTimeoutMs: 5_000,
        sessionExpirySeconds: 3_600,
        receiveMaximum: scenario.receiveMaximum,
        reconnect: { minMs: 100, maxMs: 4_000 },
        ackOrder: bug?.ackOrder ?? scenario.ackOrder,
        ackHoldMaxMs: 2_000,
        filters: [topics.requestFilter],
        ownFilters: [topics.cancelFilter],
        share: scenario.share,
        frameBytesMax: () => 100_000,
        will: () => ({ topic: STATUS_TOPIC, payload: 'offline' }),
        dial: async (_target, signal) => {
          const stream = await world.dial(owner, signal)
          return bug?.dialled === undefined ? stream : bug.dialled(stream)
        },
      },
      {
        delivered: (delivery) => {
          const given = bug?.delivered === undefined ? delivery : bug.delivered(delivery)
          if (given !== undefined) this.#pipeline.handle(given)
        },
        ready: () => void this.#publishStatus('online'),
        unavailable: ({ error, retryInMs }) => log.info({ retryInMs }, error.message),
      },
    )
  }

  start(): void {
    this.#session.start()
  }

  /** As connector.ts does on SIGTERM. */
  async drain(): Promise<void> {
    if (this.#session.isReady) await within(1_000, this.#publishStatus('draining'))
    await within(1_000, this.#session.stopTaking())
    await within(this.#scenario.drainTimeoutMs, this.#pipeline.idle())
    if (this.#session.isReady) await within(1_000, this.#publishStatus('offline'))
    await this.#session.close()
  }

  /** Connected, and without anything to do. */
  get isResting(): boolean {
    const { inFlight } = this.#telemetry
    return inFlight === 0 && this.#session.unpublished === 0 && this.left === ''
  }

  /** What it still holds or waits for, in words; empty when it rests. */
  get left(): string {
    return Object.entries({
      'requests in flight': this.#telemetry.inFlight,
      'unacknowledged deliveries': this.#session.unacknowledged,
      'unacknowledged publishes': this.#session.unpublished,
      'running calls': this.#gate.running,
      'waiting calls': this.#gate.waiting,
      bytes: this.#budget.bytes,
      'no session': this.#session.isReady ? 0 : 1,
    })
      .filter(([, count]) => count !== 0)
      .map(([what, count]) => `${what}: ${count}`)
      .join(', ')
  }

  #models(): ModelTable {
    const operation: BoundOperation = {
      name: 'infer',
      protocol: 'v2',
      hasBody: true,
      mayEmit: false,
      endpoint: this.endpoint,
      figures: this.#telemetry.figures('m', 'infer'),
    }
    const table = new ModelTable()
    table.set({
      name: 'm',
      operations: new Map([['infer', operation]]),
      defaultOperation: operation,
      timeoutMs: this.#scenario.modelTimeoutMs,
      repeatable: this.#scenario.repeatable,
      requestBytesMax: 10_000,
      passHeaders: new Set(),
      gate: this.#gate,
    })
    return table
  }

  async #publishStatus(state: string): Promise<void> {
    await this.#session.publish({
      topic: STATUS_TOPIC,
      payload: Buffer.from(state),
      qos: 1,
      retain: true,
      properties: {},
    })
  }
}

async function within(timeoutMs: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)))
  await Promise.race([work, late])
  clearTimeout(timer)
}
