// Asks: raw MQTT clients and SDK clients at a steady rate with a bound, every answer checked and put in the ledger.
import { connect, InferwireError, type Client } from '@inferwire/client'
import { KIND, type Ledger } from './ledger.ts'
import { RawClient, type RawReply } from '../rig/raw-client.ts'
import {
  clientName,
  clientOf,
  CLIENT_HEADER,
  correlationOf,
  expectedAnswer,
  expirySecondsOf,
  levelsOf,
  modelOf,
  numberOf,
  operationOf,
  pairOf,
  payloadOf,
} from './request-shape.ts'

/** How much to ask, and of whom. */
export interface LoadOptions {
  readonly ledger: Ledger
  readonly port: number
  readonly requests: number
  /** Raw clients and SDK clients; even numbers, they come in pairs. */
  readonly rawClients: number
  readonly sdkClients: number
  /** Requests that may be unanswered at once. */
  readonly inFlightMax: number
}

const TICK_MS = 10
// A request that is never answered must not hold its place forever; it stays in the ledger.
const WRITTEN_OFF_AFTER_MS = 30_000
const SDK_TIMEOUT_MS = 60_000
const OK = '200'

/** The one who asks; lives in the process that is never killed. */
export class Load {
  readonly #options: LoadOptions
  readonly #ledger: Ledger
  readonly #raw: RawClient[] = []
  readonly #sdk = new Map<number, Client>()
  #next = 0
  #oldest = 0
  #writtenOff = 0
  #sdkOpen = 0
  #timer: NodeJS.Timeout | undefined
  #lastTickMs = 0
  #credit = 0
  #lastReplyAtMs = 0
  /** May be changed at any time. */
  requestsPerSecond = 0
  /** Called at each first reply. */
  onFirstReply: (atMs: number, publishedAtMs: number) => void = () => {}

  constructor(options: LoadOptions) {
    this.#options = options
    this.#ledger = options.ledger
  }

  /** Resolves when all clients are connected and subscribed. */
  async start(): Promise<void> {
    const { rawClients, sdkClients, port } = this.#options
    for (let client = 0; client < rawClients; client++) {
      this.#raw.push(
        new RawClient(
          { port, name: clientName(client) },
          {
            replied: (reply) => this.#replied(client, reply),
            acknowledged: (number, reasonCode) => this.#ledger.acknowledged(number, reasonCode),
            abandoned: (number) => this.#ledger.abandon(number),
          },
        ),
      )
    }
    await Promise.all(this.#raw.map((client) => client.start()))
    for (let client = rawClients; client < rawClients + sdkClients; client++) {
      this.#sdk.set(
        client,
        await connect(`mqtt://127.0.0.1:${port}`, { identity: clientName(client), keepAliveSeconds: 5 }),
      )
    }
  }

  /** Begins to ask; `stop` or the number of requests ends it. */
  ask(): void {
    this.#lastTickMs = performance.now()
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }

  /** No further requests. */
  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  get isDone(): boolean {
    return this.#next >= this.#options.requests
  }

  /** Requests that are still to be asked. */
  get left(): number {
    return this.#options.requests - this.#next
  }

  /** Requests without an answer that are still hoped for. */
  get unanswered(): number {
    return this.#next - this.#ledger.answered - this.#writtenOff
  }

  get lastReplyAtMs(): number {
    return this.#lastReplyAtMs
  }

  get connections(): number {
    let sum = 0
    for (const client of this.#raw) sum += client.connections
    for (const client of this.#sdk.values()) sum += client.stats.reconnects + 1
    return sum
  }

  /** Resolves when everything is answered, or nothing has come for so long and the SDK has given its word. */
  async settle(quietMs: number, isOver: () => boolean): Promise<void> {
    let quietSince = Date.now()
    for (;;) {
      if (this.#lastReplyAtMs > quietSince) quietSince = this.#lastReplyAtMs
      const isQuiet = Date.now() - quietSince > quietMs
      if (this.#next === this.#ledger.answered || isOver()) return
      if (isQuiet && (this.#sdkOpen === 0 || Date.now() - quietSince > SDK_TIMEOUT_MS)) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  async close(): Promise<void> {
    this.stop()
    for (const client of this.#raw) client.close()
    await Promise.all([...this.#sdk.values()].map((client) => client.close()))
  }

  #tick(): void {
    const now = performance.now()
    const { inFlightMax, requests } = this.#options
    // What an outage kept back is not made up for: the rate is a rate.
    this.#credit = Math.min(this.#credit + ((now - this.#lastTickMs) * this.requestsPerSecond) / 1000, 100)
    this.#lastTickMs = now
    this.#writeOff()
    while (this.#credit >= 2 && this.unanswered < inFlightMax && this.#next < requests) {
      this.#credit -= 2
      this.#send(this.#next)
      this.#send(this.#next + 1)
      this.#next += 2
    }
    if (this.isDone) this.stop()
  }

  #writeOff(): void {
    const limit = Date.now() - WRITTEN_OFF_AFTER_MS
    while (this.#oldest < this.#next && this.#ledger.publishedAtMs[this.#oldest]! < limit) {
      if (this.#ledger.repliedAtMs[this.#oldest] === 0) this.#writtenOff += 1
      this.#oldest += 1
    }
  }

  #send(number: number): void {
    const client = clientOf(number, this.#options.rawClients + this.#options.sdkClients)
    const raw = this.#raw[client]
    if (raw === undefined) return void this.#ask(number, client)
    const expirySeconds = expirySecondsOf(number)
    const name = clientName(client)
    this.#ledger.published(number, KIND.raw, expirySeconds)
    raw.publish(number, {
      topic: `infer/request/${name}/${levelsOf(number)}`,
      correlation: correlationOf(number),
      expirySeconds,
      userProperties: [CLIENT_HEADER, name],
      payload: payloadOf(number),
    })
  }

  // The SDK repeats by itself; it ends in a reply, an error reply, or its own deadline.
  async #ask(number: number, client: number): Promise<void> {
    const { name, protocol } = modelOf(number)
    this.#ledger.published(number, KIND.sdk, SDK_TIMEOUT_MS / 1000)
    this.#sdkOpen += 1
    try {
      const reply = await this.#sdk.get(client)!.infer(name, payloadOf(number), {
        operation: operationOf(protocol),
        timeoutMs: SDK_TIMEOUT_MS,
        headers: { [CLIENT_HEADER]: clientName(client) },
        waitForConnector: true,
      })
      this.#check(number, client, reply.text(), 'SDK reply')
      this.#first(number, OK, false)
    } catch (error) {
      if (!(error instanceof InferwireError)) throw error
      // Cancelled only by our own end: then it is what it is, unanswered.
      if (error.code !== 'cancelled') this.#first(number, error.code, false)
    } finally {
      this.#sdkOpen -= 1
    }
  }

  #replied(client: number, reply: RawReply): void {
    const { topic, correlation, mark } = reply
    const pair = pairOf(correlation)
    const number = pair === undefined ? -1 : numberOf(pair, client)
    const isOurs =
      number >= 0 && this.#ledger.publishedAtMs[number]! > 0 && clientOf(number, this.#clients) === client
    if (!isOurs) {
      const what = `${clientName(client)} got a reply on "${topic}" with correlation ${correlation}, which it never used.`
      return this.#ledger.wrongReply({ kind: 'phantom', atMs: Date.now(), number: -1, what })
    }
    if (topic !== `infer/reply/${clientName(client)}/${levelsOf(number)}`) {
      const what = `The reply to request ${number} (correlation ${correlation}) came on "${topic}".`
      this.#ledger.wrongReply({ kind: 'crossed', atMs: Date.now(), number, what })
    }
    if (mark !== undefined) this.#ledger.part(number, mark)
    // An answer in parts is complete with its final message.
    if (mark?.isFinal === false) return
    const outcome = reply.status === OK ? OK : reply.code || `status ${reply.status}`
    if (outcome === OK && mark === undefined)
      this.#check(number, client, reply.payload, `topic "${topic}", correlation ${correlation}`)
    this.#first(number, outcome, reply.isDup)
  }

  #check(number: number, client: number, payload: string, where: string): void {
    const expected = expectedAnswer(number, client)
    if (payload === expected) return
    const isCounterparts = payload === expectedAnswerOfCounterpart(number, client)
    const what = `Request ${number} of ${clientName(client)} (${where}) got ${
      isCounterparts ? `the answer of its counterpart ${clientName(client ^ 1)}` : 'another answer'
    }: ${payload.slice(0, 200)} instead of ${expected}.`
    this.#ledger.wrongReply({ kind: 'crossed', atMs: Date.now(), number, what })
  }

  #first(number: number, outcome: string, isDup: boolean): void {
    if (!this.#ledger.replied(number, outcome, isDup)) return
    if (number < this.#oldest) this.#writtenOff -= 1
    this.#lastReplyAtMs = Date.now()
    this.onFirstReply(this.#lastReplyAtMs, this.#ledger.publishedAtMs[number]!)
  }

  get #clients(): number {
    return this.#options.rawClients + this.#options.sdkClients
  }
}

function expectedAnswerOfCounterpart(number: number, client: number): string {
  return expectedAnswer(number ^ 1, client ^ 1)
}
