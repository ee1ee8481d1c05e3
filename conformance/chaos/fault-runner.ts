// Executes a schedule: each fault happens at its scheduled time, but an actor never has two faults at once.
import type { Mosquitto } from '../fixtures/mosquitto.ts'
import type { ConnectorProcess } from '../rig/connector-process.ts'
import type { FaultRecord, Ledger } from './ledger.ts'
import type { Proxy } from '../rig/proxy.ts'
import { actorOf, type Fault, type FaultKind } from './schedule.ts'
import type { ChaosModelServer } from './model-server.ts'

/** Everything that a fault can hit. */
export interface Cast {
  readonly broker: Mosquitto
  readonly connector: ConnectorProcess
  readonly upstream: ChaosModelServer
  readonly connectorNetwork: Proxy
  readonly clientNetwork: Proxy
  readonly upstreamNetwork: Proxy
}

// The toxics that simulate a slow network. `bandwidth` is in bytes per second.
const LATENCY = { latencyMs: 150, jitterMs: 200 }
const BANDWIDTH = { bandwidth: 40_000 }
const SLICER = { sliceBytes: 7 }

/** Runs a schedule until its end or until `stop`. */
export class FaultRunner {
  readonly #cast: Cast
  readonly #ledger: Ledger
  readonly #chains = new Map<string, Promise<void>>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #waiting: FaultRecord[] = []
  #isStopped = false
  #left = 0
  /** Number of exits after SIGTERM, by nonzero exit code. Counts only connectors that had been ready. */
  readonly badExits: Record<string, number> = {}

  constructor(cast: Cast, ledger: Ledger) {
    this.#cast = cast
    this.#ledger = ledger
  }

  /** Number of scheduled faults that have not happened yet. */
  get left(): number {
    return this.#left
  }

  start(schedule: readonly Fault[]): void {
    this.#left = schedule.length
    for (const fault of schedule) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        this.#enqueue(fault)
      }, fault.atMs)
      this.#timers.add(timer)
    }
  }

  /** Call this at each request's first reply. Recovery ends when a request sent after the fault is answered. */
  replied(atMs: number, publishedAtMs: number): void {
    if (this.#waiting.length === 0) return
    for (let index = this.#waiting.length - 1; index >= 0; index--) {
      const record = this.#waiting[index]!
      if (publishedAtMs < record.endedAtMs) continue
      record.recoveryMs = atMs - record.endedAtMs
      this.#waiting.splice(index, 1)
    }
  }

  /** Starts no further faults; resolves when all programs run again and no network has a toxic. */
  async stop(): Promise<void> {
    this.#isStopped = true
    for (const timer of this.#timers) clearTimeout(timer)
    await Promise.all(this.#chains.values())
    for (const proxy of [this.#cast.connectorNetwork, this.#cast.clientNetwork, this.#cast.upstreamNetwork])
      proxy.calm()
  }

  #enqueue(fault: Fault): void {
    const actor = actorOf(fault.kind)
    const before = this.#chains.get(actor) ?? Promise.resolve()
    this.#chains.set(
      actor,
      before.then(() => this.#execute(fault)),
    )
  }

  async #execute(fault: Fault): Promise<void> {
    this.#left -= 1
    if (this.#isStopped) return
    const startedAtMs = Date.now()
    await this.#hit(fault.kind, fault)
    const record = { kind: fault.kind, startedAtMs, endedAtMs: Date.now(), recoveryMs: undefined }
    this.#ledger.faults.push(record)
    this.#waiting.push(record)
  }

  async #hit(kind: FaultKind, { forMs, bytes }: Fault): Promise<void> {
    const { broker, connector, upstream, connectorNetwork, clientNetwork, upstreamNetwork } = this.#cast
    switch (kind) {
      case 'connector-kill':
        await connector.end('SIGKILL')
        return connector.start()
      case 'connector-term': {
        // Ignores the exit code of a process that was still loading. The signal kills such a process, which has no
        // requests yet.
        const { wasReady } = connector
        const code = await connector.end('SIGTERM')
        if (code !== 0 && wasReady) this.badExits[String(code)] = (this.badExits[String(code)] ?? 0) + 1
        return connector.start()
      }
      case 'connector-stop':
        connector.signal('SIGSTOP')
        await pause(forMs)
        return connector.signal('SIGCONT')
      case 'broker-term':
        await broker.stop('SIGTERM')
        return await broker.start()
      case 'broker-kill':
        await broker.stop('SIGKILL')
        return await broker.start()
      case 'upstream-kill':
        await upstreamNetwork.refuse()
        await pause(forMs)
        return await upstreamNetwork.accept()
      case 'upstream-hang':
        return await withToxics(upstreamNetwork, 'both', { isFrozen: true }, forMs)
      case 'upstream-reset':
        return upstreamNetwork.reset()
      case 'upstream-503':
      case 'upstream-slow':
        upstream.setMood(kind === 'upstream-503' ? 'busy' : 'slow')
        await pause(forMs)
        return upstream.setMood('well')
      case 'connector-cut':
      case 'client-cut': {
        const network = kind === 'client-cut' ? clientNetwork : connectorNetwork
        await network.refuse()
        await pause(forMs)
        return await network.accept()
      }
      case 'connector-reset':
        return connectorNetwork.reset()
      case 'client-reset':
        return clientNetwork.reset()
      case 'connector-reset-in-packet':
        return connectorNetwork.resetAfter(bytes % 2 === 0 ? 'up' : 'down', bytes)
      case 'client-reset-in-packet':
        return clientNetwork.resetAfter(bytes % 2 === 0 ? 'up' : 'down', bytes)
      case 'connector-half-open-up':
        return await withToxics(connectorNetwork, 'up', { isFrozen: true }, forMs)
      case 'connector-half-open-down':
        return await withToxics(connectorNetwork, 'down', { isFrozen: true }, forMs)
      case 'connector-freeze':
        return await withToxics(connectorNetwork, 'both', { isFrozen: true }, forMs)
      case 'client-half-open':
        return await withToxics(clientNetwork, bytes % 2 === 0 ? 'up' : 'down', { isFrozen: true }, forMs)
      case 'connector-latency':
        return await withToxics(connectorNetwork, 'both', LATENCY, forMs)
      case 'client-latency':
        return await withToxics(clientNetwork, 'both', LATENCY, forMs)
      case 'connector-slicer':
        return await withToxics(connectorNetwork, 'both', SLICER, forMs)
      case 'client-slicer':
        return await withToxics(clientNetwork, 'both', SLICER, forMs)
      case 'connector-bandwidth':
        return await withToxics(connectorNetwork, 'both', BANDWIDTH, forMs)
      case 'connector-slow-close':
        connectorNetwork.set('both', { slowCloseMs: 1000 })
        connectorNetwork.resetAfter('up', bytes)
        await pause(forMs)
        return connectorNetwork.calm()
    }
  }
}

async function withToxics(
  network: Proxy,
  direction: 'up' | 'down' | 'both',
  toxics: Parameters<Proxy['set']>[1],
  forMs: number,
): Promise<void> {
  network.set(direction, toxics)
  await pause(forMs)
  network.calm()
}

// Waits for a fixed time: the duration of a fault is part of the test, so there is no event to wait for.
function pause(forMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, forMs))
}
