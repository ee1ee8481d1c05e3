// A load of flows: clients send numbered requests to models. Each answer is timed, and proves which request it belongs
// to.
import { Load, percentile, type LoadOptions } from './load.ts'
import { digest } from './model-behaviours.ts'
import type { RawReply } from './raw-client.ts'

/** Clients that take turns to send requests to one model. */
export interface Flow {
  readonly name: string
  /** Names of the clients: the `{client}` level of their topics. */
  readonly clients: readonly string[]
  readonly model: string
  /** Requests per second of all clients together; may be changed at any time. */
  perSecond: number
  /** Minimum size of the body in bytes. @default 0 */
  readonly bodyBytes?: number
  /** How often each request is published. @default 1 */
  readonly copies?: number
  /** Message Expiry Interval in seconds. @default 60 */
  readonly expirySeconds?: number
  /** A body that replaces the numbered body in one of `every` requests. */
  readonly odd?: { readonly body: string; readonly every: number }
  /** Returns the predictions of a correct answer. @default the digest that the fake model server returns */
  readonly predictionsOf?: (body: string) => unknown
}

/** The broker's address, and the flows. */
export interface FlowLoadOptions extends Pick<LoadOptions, 'port' | 'host' | 'login'> {
  readonly flows: readonly Flow[]
}

/** Figures of a range of requests. Times are in milliseconds from the publish to the first reply. */
export interface FlowReport {
  readonly requests: number
  readonly ok: number
  /** Number of requests answered with each error code. */
  readonly errors: Readonly<Record<string, number>>
  readonly unanswered: number
  readonly okP50Ms: number
  readonly okP99Ms: number
  readonly errorP50Ms: number
  readonly errorP99Ms: number
  /** Time of the slowest answer. */
  readonly maxMs: number
  /** Answers with status 200 per second, between the first publish and the last publish. */
  readonly goodput: number
}

/** The outcome of all requests. */
export interface FlowVerdict {
  readonly requests: number
  readonly unanswered: number
  readonly crossed: number
  readonly phantom: number
  readonly duplicates: number
  /** The error replies, up to a limit, as `status payload`. */
  readonly errors: readonly string[]
}

const HEAD = 0xc0de
const ERROR_TEXTS_MAX = 10_000

/** Sends the requests of its flows, and records their answers. */
export class FlowLoad {
  readonly #flows: readonly Flow[]
  readonly #load: Load
  readonly #sentAtMs: number[] = []
  readonly #answeredAtMs: number[] = []
  readonly #outcomes: string[] = []
  readonly #flowOf: number[] = []
  readonly #replyCounts: number[] = []
  readonly #errorTexts: string[] = []
  readonly #turns: number[]
  /** Number of answers that belong to a different request; `phantom` counts answers that belong to no request. */
  crossed = 0
  phantom = 0
  /** Number of answers beyond one for each published copy. Redeliveries by the broker are not counted. */
  duplicates = 0
  /** Number of replies so far, excluding the broker's redeliveries. */
  replies = 0
  /** Number of publishes in flight when the broker lost their client's session. */
  abandoned = 0

  private constructor({ flows, ...where }: FlowLoadOptions) {
    this.#flows = flows
    this.#turns = flows.map(() => 0)
    this.#load = new Load({
      ...where,
      clients: flows.flatMap(({ clients }) => clients),
      streams: flows.map((flow, index) => ({
        get perSecond() {
          return flow.perSecond
        },
        send: (number) => this.#send(index, number),
      })),
      listener: {
        replied: (name, reply) => this.#replied(name, reply),
        acknowledged: () => {},
        abandoned: () => (this.abandoned += 1),
      },
    })
  }

  /** Creates a load; resolves when all clients are connected and subscribed. */
  static async start(options: FlowLoadOptions): Promise<FlowLoad> {
    const load = new FlowLoad(options)
    await load.#load.connect()
    return load
  }

  /** Starts to send requests; ends at `stop`. */
  begin(): void {
    this.#load.begin()
  }

  stop(): void {
    this.#load.stop()
  }

  /**
   * Sends requests for `forMs`; resolves with the number of the first request, and the number of the last request
   * plus 1.
   */
  async runFor(forMs: number): Promise<readonly [from: number, to: number]> {
    const from = this.sent
    this.begin()
    await new Promise((resolve) => setTimeout(resolve, forMs))
    this.stop()
    return [from, this.sent]
  }

  /** Sends one request of a flow now. */
  send(flowIndex = 0): void {
    this.#load.send(flowIndex)
  }

  /** Sends requests of the first flow together; resolves when the broker has acknowledged all of them. */
  async sendMany(count: number): Promise<void> {
    for (let sent = 0; sent < count; sent++) this.send()
    while (this.unacknowledged > 0) await new Promise((resolve) => setTimeout(resolve, 1))
  }

  /** The number of the next request. */
  get sent(): number {
    return this.#load.sent
  }

  get answered(): number {
    return this.#load.answered
  }

  get unanswered(): number {
    return this.#load.unanswered
  }

  get lagP99Ms(): number {
    return this.#load.lagP99Ms
  }

  get connections(): number {
    return this.#load.connections
  }

  get unacknowledged(): number {
    return this.#load.unacknowledged
  }

  /** Resolves when all requests are answered, or no answer has arrived for `quietMs`. */
  async settle(quietMs = 10_000): Promise<void> {
    await this.#load.settle(quietMs)
  }

  close(): void {
    this.#load.close()
  }

  /** The verdict on all requests so far. */
  get verdict(): FlowVerdict {
    const { crossed, phantom, duplicates, unanswered } = this
    return { requests: this.sent, unanswered, crossed, phantom, duplicates, errors: this.#errorTexts }
  }

  /** Returns the figures of one flow or of all flows, for a range of request numbers. */
  report(flowName?: string, [from, to]: readonly [number, number] = [0, this.sent]): FlowReport {
    const ok: number[] = []
    const failed: number[] = []
    const okAtMs: number[] = []
    const errors: Record<string, number> = {}
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
      goodput: okAtMs.filter((atMs) => atMs <= lastMs).length / Math.max(0.001, (lastMs - firstMs) / 1000),
    }
  }

  #send(flowIndex: number, number: number): void {
    const flow = this.#flows[flowIndex]!
    const turn = this.#turns[flowIndex]!++
    const name = flow.clients[turn % flow.clients.length]!
    this.#sentAtMs[number] = performance.now()
    this.#answeredAtMs[number] = 0
    this.#outcomes[number] = ''
    this.#replyCounts[number] = 0
    this.#flowOf[number] = flowIndex
    const parts = {
      topic: `infer/request/${name}/${flow.model}/predict`,
      correlation: correlationOf(number),
      expirySeconds: flow.expirySeconds ?? 60,
      userProperties: [],
      payload: bodyOf(number, flow),
    }
    for (let copy = 0; copy < (flow.copies ?? 1); copy++) this.#load.publish(name, number, parts)
  }

  #replied(name: string, reply: RawReply): void {
    const number = numberOf(reply.correlation)
    const flow = number < this.sent && number >= 0 ? this.#flows[this.#flowOf[number]!]! : undefined
    if (flow === undefined || !flow.clients.includes(name)) return void (this.phantom += 1)
    const isOk = reply.status === '200'
    const isRightTopic = reply.topic === `infer/reply/${name}/${flow.model}/predict`
    if (!isRightTopic || (isOk && !isRight(reply.payload, bodyOf(number, flow), flow))) this.crossed += 1
    this.#replyCounts[number]! += 1
    if (!reply.isDup) this.replies += 1
    if (this.#replyCounts[number]! > (flow.copies ?? 1) && !reply.isDup) this.duplicates += 1
    if (!isOk && this.#errorTexts.length < ERROR_TEXTS_MAX)
      this.#errorTexts.push(`${reply.status} ${reply.payload}`)
    if (this.#outcomes[number] !== '') return
    this.#outcomes[number] = isOk ? '200' : reply.code || `status ${reply.status}`
    this.#answeredAtMs[number] = performance.now()
    this.#load.answer()
  }
}

function bodyOf(number: number, flow: Flow): string {
  if (flow.odd !== undefined && number % flow.odd.every === flow.odd.every - 1) return flow.odd.body
  const head = `{"instances":[[${number}]]`
  const padding = (flow.bodyBytes ?? 0) - head.length - 9
  return padding > 0 ? `${head},"pad":"${'x'.repeat(padding)}"}` : `${head}}`
}

function isRight(payload: string, body: string, { model, predictionsOf }: Flow): boolean {
  if (predictionsOf !== undefined) return payload === JSON.stringify({ predictions: predictionsOf(body) })
  return payload === (model === 'echo' ? body : JSON.stringify({ predictions: [digest(body)] }))
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
