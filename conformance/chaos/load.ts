// The load of a run: raw MQTT clients and SDK clients in a closed loop. Checks every answer and records it in the
// ledger.
import { connect, InferwireError, type Client, type InferOptions, type Reply } from '@inferwire/client'
import { Load } from '../rig/load.ts'
import type { RawReply } from '../rig/raw-client.ts'
import { KIND, type Ledger, type WrongReply } from './ledger.ts'
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
  pairOf,
  payloadOf,
} from './request-shape.ts'
import { SdkReading, wrongEnd, wrongPart } from './stream-shape.ts'

/** How many requests to send, and from how many clients of each kind. */
export interface ChaosLoadOptions {
  readonly ledger: Ledger
  readonly port: number
  readonly requests: number
  /** Number of raw clients. `sdkClients` is the number of SDK clients. Both are even, because clients come in pairs. */
  readonly rawClients: number
  readonly sdkClients: number
  /** Maximum number of unanswered requests. */
  readonly inFlightMax: number
}

type SdkOptions = Pick<InferOptions, 'timeoutMs' | 'headers' | 'waitForConnector'>

// After this time, an unanswered request no longer counts toward `inFlightMax`. It remains in the ledger.
const WRITTEN_OFF_AFTER_MS = 30_000
const SDK_TIMEOUT_MS = 60_000
// The idle timeout of a stream is longer than an outage, because the SDK does not repeat a stream that has begun.
const SDK_IDLE_MS = 20_000
const SDK_STREAM_MS = 30_000
const SESSION_SECONDS = 600
const OK = '200'

/** Sends the load, from the process that is never killed. */
export class ChaosLoad {
  readonly #options: ChaosLoadOptions
  readonly #ledger: Ledger
  readonly #load: Load
  readonly #sdk = new Map<number, Client>()
  #oldest = 0
  #writtenOff = 0
  #sdkOpen = 0
  /** Rate of the load; may be changed at any time. */
  requestsPerSecond = 0
  /** Called at the first reply to each request. */
  onFirstReply: (atMs: number, publishedAtMs: number) => void = () => {}

  constructor(options: ChaosLoadOptions) {
    const { port, ledger, rawClients, requests, inFlightMax } = options
    const load = this as ChaosLoad
    this.#options = options
    this.#ledger = ledger
    this.#load = new Load({
      port,
      clients: Array.from({ length: rawClients }, (_, client) => clientName(client)),
      requestsMax: requests,
      streams: [
        {
          get perSecond() {
            return load.requestsPerSecond
          },
          batch: 2,
          inFlight: { max: inFlightMax, unanswered: () => load.unanswered },
          send: (number) => load.#send(number),
        },
      ],
      listener: {
        replied: (name, reply) => this.#replied(Number(name.split('-')[1]), reply),
        acknowledged: (number, reasonCode) => this.#ledger.acknowledged(number, reasonCode),
        abandoned: (number) => this.#ledger.abandon(number),
      },
    })
  }

  /** Connects the clients; resolves when all are connected and subscribed. */
  async start(): Promise<void> {
    const { rawClients, sdkClients, port } = this.#options
    await this.#load.connect()
    for (let client = rawClients; client < rawClients + sdkClients; client++) {
      this.#sdk.set(
        client,
        await connect(`mqtt://127.0.0.1:${port}`, {
          identity: clientName(client),
          keepAliveSeconds: 5,
          // The streams of every second client survive a lost connection.
          sessionExpirySeconds: client % 2 === 0 ? 0 : SESSION_SECONDS,
        }),
      )
    }
  }

  /** Starts to send requests; ends at `stop`, or when all requests have been sent. */
  begin(): void {
    this.#load.begin()
  }

  /** Sends no further requests. */
  stop(): void {
    this.#load.stop()
  }

  get isDone(): boolean {
    return this.#load.isDone
  }

  /** Number of requests that have not been sent yet. */
  get left(): number {
    return this.#options.requests - this.#load.sent
  }

  /** Number of unanswered requests, excluding those written off. */
  get unanswered(): number {
    this.#writeOff()
    return this.#load.unanswered - this.#writtenOff
  }

  /**
   * Resolves when everything is answered, when `isOver` returns true, or when no SDK call is open and no answer has
   * arrived for `quietMs`.
   */
  async settle(quietMs: number, isOver: () => boolean): Promise<void> {
    const isQuiet = (quietForMs: number): boolean =>
      quietForMs > quietMs && (this.#sdkOpen === 0 || quietForMs > SDK_TIMEOUT_MS)
    await this.#load.settle(Number.POSITIVE_INFINITY, (quietForMs) => isOver() || isQuiet(quietForMs))
  }

  async close(): Promise<void> {
    this.#load.close()
    await Promise.all([...this.#sdk.values()].map((client) => client.close()))
  }

  #writeOff(): void {
    const limit = Date.now() - WRITTEN_OFF_AFTER_MS
    while (this.#oldest < this.#load.sent && this.#ledger.publishedAtMs[this.#oldest]! < limit) {
      if (this.#ledger.repliedAtMs[this.#oldest] === 0) this.#writtenOff += 1
      this.#oldest += 1
    }
  }

  #send(number: number): void {
    const client = clientOf(number, this.#clients)
    if (client >= this.#options.rawClients) return void this.#infer(number, client)
    const expirySeconds = expirySecondsOf(number)
    const name = clientName(client)
    this.#ledger.published(number, KIND.raw, expirySeconds)
    this.#load.publish(name, number, {
      topic: `infer/request/${name}/${levelsOf(number)}`,
      correlation: correlationOf(number),
      expirySeconds,
      userProperties: [CLIENT_HEADER, name],
      payload: payloadOf(number, client),
    })
  }

  // The SDK repeats requests by itself. A call ends with a reply, with an error reply, or at its deadline.
  async #infer(number: number, client: number): Promise<void> {
    this.#ledger.published(number, KIND.sdk, SDK_TIMEOUT_MS / 1000)
    this.#sdkOpen += 1
    try {
      if (modelOf(number).kind === 'stream') await this.#readStream(number, client)
      else this.#check(number, client, (await this.#call(number, client)).text(), 'SDK reply')
      this.#first(number, OK, false)
    } catch (error) {
      if (!(error instanceof InferwireError)) throw error
      if (error.message.includes('has a gap')) this.#ledger.gapsReported += 1
      // Only `close` cancels calls; a cancelled call remains unanswered.
      const body = Buffer.from(error.body ?? []).toString()
      if (error.code !== 'cancelled') this.#first(number, outcomeOf(error.code, body), false)
    } finally {
      this.#sdkOpen -= 1
    }
  }

  #call(number: number, client: number): Promise<Reply> {
    const { name, operation } = modelOf(number)
    return this.#sdk
      .get(client)!
      .infer(name, payloadOf(number, client), { operation, ...sdkOptions(number, client) })
  }

  async #readStream(number: number, client: number): Promise<void> {
    const { name, operation } = modelOf(number)
    const request = { operation, body: payloadOf(number, client) }
    const reading = new SdkReading(number, client)
    const limits = { timeoutMs: SDK_STREAM_MS, idleTimeoutMs: SDK_IDLE_MS }
    const options = { ...sdkOptions(number, client), ...limits }
    for await (const part of this.#sdk.get(client)!.stream(name, request, options)) {
      this.#wrong(number, reading.part(part.seq, part.text()))
    }
    this.#wrong(number, reading.end())
  }

  #replied(client: number, reply: RawReply): void {
    const { topic, correlation, mark } = reply
    const pair = pairOf(correlation)
    const number = pair === undefined ? -1 : numberOf(pair, client)
    const isOurs =
      number >= 0 && this.#ledger.publishedAtMs[number]! > 0 && clientOf(number, this.#clients) === client
    if (!isOurs) {
      const what = `${clientName(client)} received a reply on "${topic}" with Correlation Data ${correlation}, which this client never used.`
      return this.#ledger.wrongReply({ kind: 'phantom', atMs: Date.now(), number: -1, what })
    }
    if (topic !== `infer/reply/${clientName(client)}/${levelsOf(number)}`) {
      const what = `The reply to request ${number} (Correlation Data ${correlation}) arrived on "${topic}".`
      this.#ledger.wrongReply({ kind: 'crossed', atMs: Date.now(), number, what })
    }
    if (mark !== undefined) this.#ledger.part(number, mark)
    // The final message completes a multi-part answer.
    if (mark?.isFinal === false)
      return this.#wrong(number, wrongPart(number, client, mark.seq, reply.payload))
    const outcome =
      reply.status === OK ? OK : outcomeOf(reply.code, reply.payload) || `status ${reply.status}`
    if (outcome === OK && modelOf(number).kind === 'stream')
      this.#wrong(number, wrongEnd(number, client, mark?.seq ?? 0))
    if (outcome === OK)
      this.#check(number, client, reply.payload, `topic "${topic}", Correlation Data ${correlation}`)
    this.#first(number, outcome, reply.isDup)
  }

  #check(number: number, client: number, payload: string, where: string): void {
    const expected = expectedAnswer(number, client)
    if (payload === expected) return
    const isCounterparts = payload === expectedAnswerOfCounterpart(number, client)
    const wrong = isCounterparts
      ? `the answer to its counterpart ${clientName(client ^ 1)}`
      : 'another answer'
    const what = `Request ${number} of ${clientName(client)} (${where}) received ${wrong}: ${payload.slice(0, 200)} instead of ${expected}.`
    this.#ledger.wrongReply({ kind: 'crossed', atMs: Date.now(), number, what })
  }

  #wrong(number: number, wrong: Pick<WrongReply, 'kind' | 'what'> | undefined): void {
    if (wrong !== undefined) this.#ledger.wrongReply({ ...wrong, number, atMs: Date.now() })
  }

  #first(number: number, outcome: string, isDup: boolean): void {
    if (!this.#ledger.replied(number, outcome, isDup)) return
    if (number < this.#oldest) this.#writtenOff -= 1
    this.#load.answer()
    this.onFirstReply(Date.now(), this.#ledger.publishedAtMs[number]!)
  }

  get #clients(): number {
    return this.#options.rawClients + this.#options.sdkClients
  }
}

// If a request was in flight during several kills, the connector sets it aside. Any other `internal` is a defect.
function outcomeOf(code: string, body: string): string {
  return code === 'internal' && body.includes('"poison":true') ? 'poison' : code
}

function sdkOptions(number: number, client: number): SdkOptions {
  const isShared = modelOf(number).kind === 'batch'
  return {
    timeoutMs: SDK_TIMEOUT_MS,
    headers: isShared ? {} : { [CLIENT_HEADER]: clientName(client) },
    waitForConnector: true,
  }
}

function expectedAnswerOfCounterpart(number: number, client: number): string {
  return expectedAnswer(number ^ 1, client ^ 1)
}
