// Asks in an open loop: at its rate whatever comes back, so that an overload is one. Each answer is timed and checked.
import { RawClient, type RawReply } from '../rig/raw-client.ts'
import { digest } from '../fixtures/misbehaving-upstream.ts'

/** Some clients that ask one model together. */
export interface Flow {
  readonly name: string
  /** The `{client}` levels; they take turns. */
  readonly clients: readonly string[]
  readonly model: string
  /** Requests per second of all together; may be changed. */
  perSecond: number
  /** Bytes of the body, at least. @default 0 */
  readonly bodyBytes?: number
  /** Each request is published so often. @default 1 */
  readonly copies?: number
  /** Message Expiry Interval. @default 60 */
  readonly expirySeconds?: number
  /** The body is this, in place of a numbered one, in one of so many requests. */
  readonly odd?: { readonly body: string; readonly every: number }
}

/** Where the clients connect. */
export interface OpenLoadOptions {
  readonly port: number
  readonly flows: readonly Flow[]
}

/** What became of the requests of a flow between two marks. Milliseconds from the publish to the reply. */
export interface FlowReport {
  readonly requests: number
  readonly ok: number
  /** Answered with an error, by code. */
  readonly errors: Readonly<Record<string, number>>
  /** Acknowledged by the broker, without an answer. */
  readonly unanswered: number
  readonly okP50Ms: number
  readonly okP99Ms: number
  readonly errorP50Ms: number
  readonly errorP99Ms: number
  /** The slowest answer of all. */
  readonly maxMs: number
  /** Answers 200 that came between the first publish and the last, per second. */
  readonly goodput: number
}

const TICK_MS = 2
const START_AT_ONCE = 250
const HEAD = 0xc0de

/** See the file's first line. */
export class OpenLoad {
  readonly #flows: readonly Flow[]
  readonly #clients = new Map<string, RawClient>()
  readonly #sentAtMs: number[] = []
  readonly #answeredAtMs: number[] = []
  readonly #outcomes: string[] = []
  readonly #flowOf: number[] = []
  readonly #turns: number[]
  readonly #dueMs: number[]
  readonly #lags: number[] = []
  #timer: NodeJS.Timeout | undefined
  #answered = 0
  #lastReplyAtMs = 0
  /** Answers of another request, and answers to nothing. */
  crossed = 0
  phantom = 0
  /** Answers beyond the first, the copies of a request left out. */
  duplicates = 0
  /** PUBACKs of 0x80 and above. */
  refused = 0
  /** Publishes that were on their way when the broker lost the session. */
  abandoned = 0
  readonly #replies: number[] = []

  private constructor(flows: readonly Flow[]) {
    this.#flows = flows
    this.#turns = flows.map(() => 0)
    this.#dueMs = flows.map(() => 0)
  }

  /** Resolves when all clients are connected and subscribed. */
  static async start({ port, flows }: OpenLoadOptions): Promise<OpenLoad> {
    const load = new OpenLoad(flows)
    for (const name of new Set(flows.flatMap(({ clients }) => clients))) {
      load.#clients.set(
        name,
        new RawClient({ port, name }, {
          replied: (reply) => load.#replied(name, reply),
          acknowledged: (_number, code) => void (load.refused += code >= 0x80 ? 1 : 0),
          abandoned: () => (load.abandoned += 1),
        }),
      )
    }
    // Not all in one breath: a client whose CONNECT is taken after it gave up finds its session there, and no
    // subscription in it.
    const all = [...load.#clients.values()]
    for (let at = 0; at < all.length; at += START_AT_ONCE) {
      await Promise.all(all.slice(at, at + START_AT_ONCE).map((client) => client.start()))
    }
    return load
  }

  /** Asks until `stop`. */
  begin(): void {
    // Spread over the first turn: flows of one rate must not ask in one breath.
    for (const [index, { perSecond }] of this.#flows.entries()) {
      this.#dueMs[index] = performance.now() + (1000 / perSecond) * (index / this.#flows.length)
    }
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Asks for so long, and resolves with the numbers of the first request and the one after the last. */
  async ask(forMs: number): Promise<readonly [from: number, to: number]> {
    const from = this.mark
    this.begin()
    await new Promise((resolve) => setTimeout(resolve, forMs))
    this.stop()
    return [from, this.mark]
  }

  /** The number of the next request. */
  get mark(): number {
    return this.#sentAtMs.length
  }

  get answered(): number {
    return this.#answered
  }

  get unanswered(): number {
    return this.mark - this.#answered
  }

  /** How late the requests left, 99 % of them at most, in milliseconds: above a few it is the harness that is slow. */
  get lagP99Ms(): number {
    return percentile(this.#lags, 0.99)
  }

  /** Resolves when everything is answered, or nothing has come for so long. */
  async settle(quietMs = 10_000): Promise<void> {
    const startedAtMs = performance.now()
    while (this.unanswered > 0) {
      if (performance.now() - Math.max(startedAtMs, this.#lastReplyAtMs) > quietMs) return
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  /** Of one flow, or of all; of the requests from a mark to another. */
  report(flowName?: string, [from, to]: readonly [number, number] = [0, this.mark]): FlowReport {
    const ok: number[] = []
    const failed: number[] = []
    const errors: Record<string, number> = {}
    // Of these requests alone: what an earlier phase left in the queue is not theirs.
    const inTime = (untilMs: number): number => okAtMs.filter((atMs) => atMs <= untilMs).length
    const okAtMs: number[] = []
    let requests = 0
    let firstMs = Number.POSITIVE_INFINITY
    let lastMs = 0
    for (let number = from; number < to; number++) {
      if (flowName !== undefined && this.#flows[this.#flowOf[number]!]!.name !== flowName) continue
      requests += 1
      const sentAtMs = this.#sentAtMs[number]!
      firstMs = Math.min(firstMs, sentAtMs)
      lastMs = Math.max(lastMs, sentAtMs)
      const outcome = this.#outcomes[number]!
      if (outcome === '') continue
      const tookMs = this.#answeredAtMs[number]! - sentAtMs
      if (outcome === '200') {
        ok.push(tookMs)
        okAtMs.push(this.#answeredAtMs[number]!)
      } else {
        failed.push(tookMs)
        errors[outcome] = (errors[outcome] ?? 0) + 1
      }
    }
    return {
      requests,
      ok: ok.length,
      errors,
      unanswered: requests - ok.length - failed.length,
      okP50Ms: percentile(ok, 0.5),
      okP99Ms: percentile(ok, 0.99),
      errorP50Ms: percentile(failed, 0.5),
      errorP99Ms: percentile(failed, 0.99),
      maxMs: Math.max(percentile(ok, 1), percentile(failed, 1)),
      goodput: inTime(lastMs) / Math.max(0.001, (lastMs - firstMs) / 1000),
    }
  }

  close(): void {
    this.stop()
    for (const client of this.#clients.values()) client.close()
  }

  /** Connections that were made, over all clients. */
  get connections(): number {
    let sum = 0
    for (const client of this.#clients.values()) sum += client.connections
    return sum
  }

  /** Publishes that the broker has not acknowledged. */
  get unacknowledged(): number {
    let sum = 0
    for (const client of this.#clients.values()) sum += client.unacknowledged
    return sum
  }

  /** Replies so far, the broker's own repetitions left out. */
  replies = 0

  /** One request of a flow, now. */
  send(flowIndex: number): void {
    const flow = this.#flows[flowIndex]!
    const turn = this.#turns[flowIndex]!++
    const name = flow.clients[turn % flow.clients.length]!
    const number = this.mark
    this.#sentAtMs.push(performance.now())
    this.#answeredAtMs.push(0)
    this.#outcomes.push('')
    this.#replies.push(0)
    this.#flowOf.push(flowIndex)
    const parts = {
      topic: `infer/request/${name}/${flow.model}/predict`,
      correlation: correlationOf(number),
      expirySeconds: flow.expirySeconds ?? 60,
      userProperties: [],
      payload: bodyOf(number, flow),
    }
    for (let copy = 0; copy < (flow.copies ?? 1); copy++) this.#clients.get(name)!.publish(number, parts)
  }

  #tick(): void {
    const now = performance.now()
    for (const [index, flow] of this.#flows.entries()) {
      if (flow.perSecond <= 0 || !Number.isFinite(this.#dueMs[index]!)) {
        this.#dueMs[index] = now
        continue
      }
      while (this.#dueMs[index]! <= now) {
        this.#lags.push(now - this.#dueMs[index]!)
        this.#dueMs[index]! += 1000 / flow.perSecond
        this.send(index)
      }
    }
  }

  #replied(name: string, reply: RawReply): void {
    const number = numberOf(reply.correlation)
    const flow = number < this.mark && number >= 0 ? this.#flows[this.#flowOf[number]!]! : undefined
    if (flow === undefined || !flow.clients.includes(name)) return void (this.phantom += 1)
    this.#lastReplyAtMs = performance.now()
    if (reply.topic !== `infer/reply/${name}/${flow.model}/predict`) this.crossed += 1
    else if (reply.status === '200' && !isRight(reply.payload, bodyOf(number, flow), flow.model))
      this.crossed += 1
    this.#replies[number]! += 1
    if (!reply.isDup) this.replies += 1
    if (this.#replies[number]! > (flow.copies ?? 1) && !reply.isDup) this.duplicates += 1
    if (this.#outcomes[number] !== '') return
    this.#outcomes[number] = reply.status === '200' ? '200' : reply.code || `status ${reply.status}`
    this.#answeredAtMs[number] = this.#lastReplyAtMs
    this.#answered += 1
  }
}

// The value that so large a share of the values does not exceed; 0 for none.
function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) return 0
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
}

function bodyOf(number: number, flow: Flow): string {
  if (flow.odd !== undefined && number % flow.odd.every === flow.odd.every - 1) return flow.odd.body
  const head = `{"instances":[[${number}]]`
  const padding = (flow.bodyBytes ?? 0) - head.length - 9
  return padding > 0 ? `${head},"pad":"${'x'.repeat(padding)}"}` : `${head}}`
}

function isRight(payload: string, body: string, model: string): boolean {
  if (model === 'echo') return payload === body
  return payload === JSON.stringify({ predictions: [digest(body)] })
}

function correlationOf(number: number): Buffer {
  const bytes = Buffer.alloc(6)
  bytes.writeUInt16BE(HEAD)
  bytes.writeUInt32BE(number, 2)
  return bytes
}

function numberOf(correlation: string): number {
  return correlation.length === 12 && correlation.startsWith('c0de')
    ? Number.parseInt(correlation.slice(4), 16)
    : -1
}
