// The tap between connector and broker: a proxy that checks the packets in both directions as they pass.
import { PartOrder } from '../checkers/part-order.ts'
import { Proxy } from '../rig/proxy.ts'
import { TapChecker, type TapRules, type TapSeen, type Violation } from './tap-checker.ts'

export type { TapRules, TapSeen, Violation } from './tap-checker.ts'

// A broken connector could fill the memory; the first violations are enough for a diagnosis.
const VIOLATIONS_MAX = 1000

/** A running tap. */
export class WireTap {
  readonly proxy: Proxy
  readonly violations: readonly Violation[]
  readonly seen: Readonly<TapSeen>
  readonly #log: TapLog

  private constructor(proxy: Proxy, log: TapLog) {
    this.proxy = proxy
    this.#log = log
    this.violations = log.violations
    this.seen = log.seen
    log.holdReplyAcks = () => proxy.set('down', { isFrozen: true })
  }

  /** Starts a tap for this broker; the connector connects to the tap's `url`. */
  static async start(brokerPort: number, rules: TapRules): Promise<WireTap> {
    const log = new TapLog(rules)
    const proxy = await Proxy.start(brokerPort, { witness: () => log.nextChecker() })
    return new WireTap(proxy, log)
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.proxy.port}`
  }

  /** While true, the broker's packets after the first reply are held, including the PUBACK for that reply. */
  set holdReplyAcks(isHeld: boolean) {
    this.#log.isHolding = isHeld
    if (!isHeld) this.proxy.set('down', { isFrozen: false })
  }

  async close(): Promise<void> {
    await this.proxy.close()
  }
}

/** Figures and violations that all connections of a tap share. */
export class TapLog {
  readonly violations: Violation[] = []
  readonly seen: TapSeen = {
    connections: 0,
    requests: 0,
    redelivered: 0,
    requestAcks: 0,
    requestAcksOutOfOrder: 0,
    replies: 0,
    replyAcks: 0,
    parts: 0,
    receiveMaximumExceededByBroker: 0,
    packets: 0,
    bytes: 0,
  }
  isHolding = false
  holdReplyAcks: () => void = () => {}
  readonly #rules: TapRules
  readonly #parts = new PartOrder((rule, what) =>
    this.#violated({ connection: this.seen.connections, atMs: Date.now(), rule, what }),
  )
  // Identifiers that were open when an earlier connection ended: a PUBACK for one of them is stale.
  #staleIds: ReadonlySet<number> = new Set()

  constructor(rules: TapRules) {
    this.#rules = rules
  }

  nextChecker(): TapChecker {
    this.seen.connections += 1
    return new TapChecker(this.seen.connections, this.#rules, this.seen, {
      parts: this.#parts,
      violated: (violation) => this.#violated(violation),
      replied: () => {
        if (this.isHolding) this.holdReplyAcks()
      },
      staleIds: () => this.#staleIds,
      opened: (checker) => (this.#staleIds = checker),
    })
  }

  #violated(violation: Violation): void {
    if (this.violations.length < VIOLATIONS_MAX) this.violations.push(violation)
  }
}
