// Runs one scenario on a simulated clock until everything is idle, and records its history.
import type { IPublishPacket, Packet } from 'mqtt-packet'
import type { ByteStream } from '../../packages/connector/src/internal.ts'
import { createLog } from '../../packages/connector/src/telemetry/index.ts'
import { SimulatedBroker } from './broker.ts'
import { SimulatedClock, useClock, type Owner } from './clock.ts'
import { DUPLICATE_WINDOW_MS, SimulatedConnector } from './connector.ts'
import type { History, HistoryEvent, RunEvent } from './history.ts'
import { KeptRequests } from './kept-requests.ts'
import { Link, type Network } from './link.ts'
import { SimulatedEndpoint, type ModelServerWorld } from './model-server.ts'
import type { BugHooks } from './planted-bugs.ts'
import { describePublish } from './publish-event.ts'
import { Random } from '../fixtures/random.ts'
import { planScenario, WARM_UP_ROUNDS, type Fault, type PlannedRequest, type Scenario } from './scenario.ts'

// Longer than any wait of the connector, such as a deadline, a back-off, the pause after a takeover or a keep-alive.
const REST_WITHIN_MS = 300_000
const WIRE_KINDS = new Set(['delivery', 'request-ack', 'publish', 'publish-ack'])

/** Runs the scenario of a seed. Must be called inside `withSimulatedTime`. */
export async function simulate(seed: number, bug?: BugHooks): Promise<History> {
  const world = new World(planScenario(seed), bug)
  await world.run()
  return world.history
}

class World {
  readonly history: History
  readonly #scenario: Scenario
  readonly #bug: BugHooks | undefined
  readonly #clock: SimulatedClock
  readonly #random: Random
  readonly #network: Network = { slowUntilMs: 0, blockedUntilMs: { up: 0, down: 0 } }
  readonly #broker: SimulatedBroker
  readonly #kept = new KeptRequests((event) => this.#note(event))
  readonly #models: ModelServerWorld
  readonly #requests: ReadonlyMap<string, PlannedRequest>
  readonly #events: HistoryEvent[] = []
  readonly #links = new Map<Owner, Link>()
  readonly #processOf = new Map<Owner, number>()
  #connector: SimulatedConnector | undefined
  #connections = 0
  #processes = 0
  #wireEvents = 0
  #isDraining = false
  // Whether the last process has been drained.
  #isOver = false
  // Number of fault steps still to come; the run is not idle until all of them have happened.
  #open = 0
  #afterWireEvents: { readonly at: number; readonly fault: Fault }[]

  constructor(scenario: Scenario, bug: BugHooks | undefined) {
    this.#scenario = scenario
    this.#bug = bug
    this.#random = new Random(scenario.seed ^ 0x5eed, WARM_UP_ROUNDS)
    this.#clock = new SimulatedClock(this.#random.fork())
    this.#clock.uncaught = (error, owner) =>
      this.#note({
        kind: 'uncaught',
        process: owner === undefined ? undefined : this.#processOf.get(owner),
        text: error instanceof Error ? (error.stack ?? error.message) : String(error),
      })
    this.#requests = new Map(scenario.requests.map((request) => [request.key, request]))
    this.#broker = new SimulatedBroker(
      this.#clock,
      scenario,
      (event) => this.#note(event),
      (reply) => this.#requestOf(reply),
    )
    this.#models = {
      clock: this.#clock,
      requests: this.#requests,
      outageUntilMs: 0,
      killers: new Set(),
      calls: 0,
      isDivisible: scenario.batching.isDivisible,
      called: (process, key, call) => this.#note({ kind: 'call', process, key, call }),
      ended: (process, key, call, outcome) => this.#note({ kind: 'call-end', process, key, call, outcome }),
      kill: (process) => {
        if (process === this.#processes) this.#kill(false, 300)
      },
    }
    this.#afterWireEvents = scenario.faults.flatMap(({ when, fault }) =>
      'afterWireEvents' in when ? [{ at: when.afterWireEvents, fault }] : [],
    )
    this.history = {
      requests: this.#requests,
      limits: {
        protocolVersion: scenario.protocolVersion,
        concurrency: scenario.concurrency,
        modelTimeoutMs: scenario.modelTimeoutMs,
        ackHoldMaxMs: holdMaxMsOf(scenario),
        duplicateWindowMs: DUPLICATE_WINDOW_MS,
      },
      events: this.#events,
    }
  }

  async run(): Promise<void> {
    const clock = this.#clock
    useClock(clock)
    this.#startProcess()
    // The session must exist before the first request, because without a subscription no delivery is guaranteed.
    await clock.run(5_000, () => this.#connector!.isResting)
    const startMs = clock.nowMs
    let requestsLeft = 0
    for (const request of this.#scenario.requests) {
      const publishes = request.atMs.map((atMs) => ({ atMs, isCancel: false }))
      if (request.cancelAtMs !== undefined) publishes.push({ atMs: request.cancelAtMs, isCancel: true })
      for (const { atMs, isCancel } of publishes) {
        requestsLeft += 1
        clock.after(atMs, () => this.#publish(request, isCancel, () => (requestsLeft -= 1)))
      }
    }
    for (const { when, fault } of this.#scenario.faults) {
      if ('atMs' in when) {
        this.#open += 1
        clock.after(when.atMs, () => {
          this.#open -= 1
          this.#begin(fault)
        })
      }
    }
    await clock.run(startMs + REST_WITHIN_MS, () => {
      // Faults that wait for further events on the wire do not count, because no further events will follow.
      return requestsLeft === 0 && this.#open === 0 && !this.#isDraining && this.#isResting
    })
    this.#note({ kind: 'quiet', isQuiet: this.#isResting, left: this.#left })
    this.#afterWireEvents = []
    // A QoS 0 request may still kill the process during its drain. In that case, the next process is drained.
    while (!this.#isOver) {
      this.#drain(undefined)
      await clock.run(clock.nowMs + REST_WITHIN_MS, () => !this.#isDraining)
      if (this.#isDraining) break
      if (!this.#isOver) await clock.run(clock.nowMs + REST_WITHIN_MS, () => this.#isResting)
    }
    // During this time, the sockets may still deliver packets.
    await clock.run(clock.nowMs + 100_000)
    const { owner } = this.#connector!
    if (owner.timers > 0)
      this.#note({ kind: 'leftover', process: this.#processes, what: `${owner.timers} timers` })
    const left = this.#connector!.left.replace(/(, )?no session: 1/, '')
    if (left !== '') this.#note({ kind: 'leftover', process: this.#processes, what: left })
  }

  get #isResting(): boolean {
    const connector = this.#connector!
    return this.#broker.held === 0 && this.#kept.size === 0 && connector.owner.isAlive && connector.isResting
  }

  // Description of what keeps the run from being idle.
  get #left(): string {
    const { held } = this.#broker
    const broker = held === 0 ? '' : `held by the broker: ${held}`
    const kept = this.#kept.size === 0 ? '' : `in safekeeping: ${this.#kept.size}`
    return [this.#connector?.owner.isAlive === true ? this.#connector.left : 'no process', broker, kept]
      .filter(Boolean)
      .join(', ')
  }

  // Publishes a request; the requester retries until the broker accepts it.
  #publish(request: PlannedRequest, isCancel: boolean, done: () => void): void {
    const { clock } = this.#models
    if (!this.#broker.isUp) return void clock.after(200, () => this.#publish(request, isCancel, done))
    clock.after(
      0,
      () => {
        this.#broker.publish(request, isCancel)
        done()
      },
      this.#broker.owner,
    )
  }

  #startProcess(): void {
    const number = ++this.#processes
    const owner: Owner = {
      name: `connector ${number}`,
      isAlive: true,
      frozenUntilMs: 0,
      timers: 0,
      isAsync: true,
    }
    this.#processOf.set(owner, number)
    this.#note({ kind: 'process', process: number, change: 'started' })
    sink.write = (text) => this.#note({ kind: 'log', process: number, text })
    const connector = new SimulatedConnector(owner, new SimulatedEndpoint(this.#models, number, owner), {
      scenario: this.#scenario,
      bug: this.#bug,
      log,
      kept: this.#kept,
      process: number,
      dial: (by, signal) => this.#dial(by, signal),
    })
    this.#connector = connector
    this.#clock.after(0, () => connector.start(), owner)
  }

  #dial(owner: Owner, signal: AbortSignal): Promise<ByteStream> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        signal.removeEventListener('abort', stop)
        reject(error)
      }
      const stop = (): void => {
        this.#clock.clear(timer)
        fail(signal.reason as Error)
      }
      signal.addEventListener('abort', stop)
      const delayMs = 0.3 + this.#random.next()
      const { up, down } = this.#network.blockedUntilMs
      const blockedMs = Math.max(up, down) - this.#clock.nowMs
      const timer = this.#clock.after(
        delayMs + Math.max(0, blockedMs),
        () => {
          if (!this.#broker.isUp) return fail(new Error('connect ECONNREFUSED'))
          signal.removeEventListener('abort', stop)
          resolve(this.#connect(owner).bytes)
        },
        owner,
      )
    })
  }

  #connect(owner: Owner): Link {
    const link = new Link(
      ++this.#connections,
      owner,
      { clock: this.#clock, random: this.#random, network: this.#network },
      this.#scenario.protocolVersion,
      {
        written: (link, packet) => this.#written(link, packet),
        received: (link, packet) =>
          void this.#clock.after(
            0,
            () => {
              if (this.#broker.isUp) this.#broker.received(link, packet)
            },
            this.#broker.owner,
          ),
        ended: (link) => void this.#clock.after(0, () => this.#broker.ended(link), this.#broker.owner),
      },
    )
    this.#links.set(owner, link)
    this.#note({ kind: 'dialled', process: this.#processOf.get(owner)!, connection: link.number })
    link.stream.on('close', () => this.#note({ kind: 'closed', connection: link.number }))
    return link
  }

  #written(link: Link, packet: Packet): void {
    const connection = link.number
    if (packet.cmd === 'puback') {
      this.#note({ kind: 'request-ack', connection, packetId: packet.messageId! })
    } else if (packet.cmd === 'publish') {
      this.#note({ kind: 'publish', connection, ...describePublish(packet) })
    }
  }

  // Finds a request by Correlation Data, or by the id in the topic.
  #requestOf({ topic, properties }: IPublishPacket): PlannedRequest | undefined {
    return this.#requests.get(properties?.correlationData?.toString() ?? topic.split('/').at(-1)!)
  }

  #note(event: RunEvent): void {
    this.#events.push({ atMs: this.#clock.nowMs, ...event })
    if (!WIRE_KINDS.has(event.kind)) return
    this.#wireEvents += 1
    for (const { at, fault } of this.#afterWireEvents) {
      if (at === this.#wireEvents) this.#later(0, () => this.#begin(fault))
    }
  }

  // Schedules a step of a fault. The run is not idle before this step has happened.
  #later(delayMs: number, run: () => void): void {
    this.#open += 1
    this.#clock.after(delayMs, () => {
      this.#open -= 1
      run()
    })
  }

  #begin(fault: Fault): void {
    if (this.#isDraining && this.#processes > 0 && fault.kind === 'drain') return
    this.#note({ kind: 'fault', fault })
    const { nowMs } = this.#clock
    const until = 'forMs' in fault ? nowMs + fault.forMs : nowMs
    const connector = this.#connector
    const link = this.#currentLink()
    switch (fault.kind) {
      case 'cut':
        return link?.cut(fault.noticeMs)
      case 'flapping':
        for (let atMs = 0; atMs < fault.forMs; atMs += fault.everyMs + this.#random.between(0, 20)) {
          this.#later(atMs, () => this.#currentLink()?.cut(0))
        }
        return
      case 'slow':
        this.#network.slowUntilMs = until
        return this.#later(fault.forMs, () => {})
      case 'half-open': {
        const { blockedUntilMs } = this.#network
        if (fault.direction !== 'down') blockedUntilMs.up = until
        if (fault.direction !== 'up') blockedUntilMs.down = until
        return this.#later(fault.forMs, () => {})
      }
      case 'broker-restart':
        this.#broker.stop(fault.keepsSession)
        return this.#later(fault.forMs, () => this.#broker.start())
      case 'broker-freeze':
        this.#broker.owner.frozenUntilMs = until
        return this.#later(fault.forMs, () => {})
      case 'broker-refuses':
        this.#broker.refusal = { reasonCode: fault.reasonCode, untilMs: until }
        link?.cut(0)
        return this.#later(fault.forMs, () => {})
      case 'subscribe-refused':
        this.#broker.subscribeRefusal = { reasonCode: fault.reasonCode, untilMs: until }
        return this.#kill(false, 1)
      case 'takeover':
        return this.#broker.takeOver()
      case 'replies-refused':
        this.#broker.replyRefusal = { reasonCode: fault.reasonCode, untilMs: until }
        return
      case 'kill':
        return this.#kill(fault.isSilent, fault.forMs)
      case 'freeze':
        if (this.#connector !== undefined) this.#connector.owner.frozenUntilMs = until
        return this.#later(fault.forMs, () => {})
      case 'drain':
        return this.#drain(fault.forMs)
      case 'model-outage':
        this.#models.outageUntilMs = until
        if (connector === undefined) return
        this.#clock.after(0, () => connector.endpoint.breakCalls(), connector.owner)
        return
    }
  }

  #currentLink(): Link | undefined {
    return this.#connector === undefined ? undefined : this.#links.get(this.#connector.owner)
  }

  // Simulates kill -9. If `isSilent` is true, the whole machine fails, and the broker does not notice the failure.
  #kill(isSilent: boolean, downMs: number): void {
    const connector = this.#connector
    if (connector === undefined || !connector.owner.isAlive) return
    const { owner } = connector
    owner.isAlive = false
    this.#isDraining = false
    this.#links.get(owner)?.die('some', isSilent ? undefined : 1)
    this.#note({ kind: 'process', process: this.#processes, change: 'killed' })
    this.#later(downMs, () => this.#startProcess())
  }

  // Simulates SIGTERM, and a restart after `downMs`. If `downMs` is undefined, the run ends without a restart.
  #drain(downMs: number | undefined): void {
    const connector = this.#connector
    if (connector === undefined || !connector.owner.isAlive || this.#isDraining) return
    this.#isDraining = true
    const number = this.#processes
    this.#note({ kind: 'process', process: number, change: 'draining' })
    const end = (): void => {
      if (number !== this.#processes || !connector.owner.isAlive) return
      this.#isDraining = false
      this.#note({ kind: 'process', process: number, change: 'drained' })
      if (downMs === undefined) {
        this.#isOver = true
        return
      }
      connector.owner.isAlive = false
      this.#later(downMs, () => this.#startProcess())
    }
    this.#clock.after(0, () => void connector.drain().then(end), connector.owner)
  }
}

function holdMaxMsOf({ ackOrder, ackHoldMaxMs }: Scenario): number {
  if (ackOrder === 'bounded') return ackHoldMaxMs
  return ackOrder === 'strict' ? Infinity : 0
}

// All runs share one logger, because creating one is expensive.
const sink = { write: (_text: string): void => {} }
const log = createLog({ level: 'info', format: 'json' }, { write: (text) => sink.write(text.trimEnd()) })
