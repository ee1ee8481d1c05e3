// Judges the history of a run against the promises of delivery. Pure: the same history gives the same verdict.
import type { History, HistoryEvent, LossReason } from './history.ts'
import type { PlannedRequest } from './scenario.ts'

/** A promise that was broken. */
export interface Violation {
  /** `D1` to `D6` as in the requirements; `window`, `subtree`, `rest`, `crash` and `concurrency` beside them. */
  readonly rule: string
  readonly atMs: number
  readonly what: string
}

interface SeenDelivery {
  readonly message: number
  readonly key: string
  readonly isCancel: boolean
  readonly atMs: number
  readonly expiresAtMs: number
  isAcknowledged: boolean
}

interface Connection {
  readonly process: number
  /** Of QoS 1, in the order of arrival. */
  readonly deliveries: SeenDelivery[]
  receiveMaximum: number
  /** Packet Identifiers that a resumed session sends again, in their order; some may have been given up. */
  toResend: number[]
  isResumed: boolean
}

/** What became of one publish of a requester. */
interface Message {
  readonly key: string
  readonly isCancel: boolean
  readonly expiresAtMs: number | undefined
  end: 'acknowledged' | 'unrouted' | LossReason | undefined
}

/** What one process of the connector has seen and done; it knows nothing of its predecessors. */
interface Process {
  /** When each message came first. */
  readonly firstSeenMs: Map<number, number>
  /** Until when each key may be executed, by the latest of its deliveries. */
  readonly mayRunUntilMs: Map<string, number>
  /** Until when an answer to each key is remembered at least, by the earliest and the shortest of its deliveries. */
  readonly rememberedUntilMs: Map<string, number>
  /** When the last reply of a key was acknowledged, and how often one was refused. */
  readonly answeredMs: Map<string, number>
  readonly refused: Map<string, number>
  /** Unacknowledged publishes by Packet Identifier; a resumed session goes on with them. */
  readonly open: Map<number, { readonly key: string | undefined; readonly code: string | undefined }>
  /** Packet Identifiers of the publishes that were never acknowledged, in the order of their first time. */
  readonly unacknowledged: Set<number>
  readonly calls: Map<string, { readonly outcome: string; readonly rememberedUntilMs: number }>
  running: number
}

/** The broken promises, in the order in which they broke; none where all were kept. */
export function judge(history: History): Violation[] {
  const verdict = new Verdict(history)
  for (const event of history.events) verdict.see(event)
  verdict.end()
  return verdict.violations
}

class Verdict {
  readonly violations: Violation[] = []
  readonly #history: History
  readonly #connections = new Map<number, Connection>()
  readonly #processes = new Map<number, Process>()
  readonly #messages = new Map<number, Message>()
  readonly #accepted = new Map<string, number>()
  readonly #refused = new Set<string>()
  #nowMs = 0

  constructor(history: History) {
    this.#history = history
  }

  see(event: HistoryEvent): void {
    this.#nowMs = event.atMs
    switch (event.kind) {
      case 'process':
        if (event.change === 'started') this.#processes.set(event.process, newProcess())
        return
      case 'dialled':
        this.#connections.set(event.connection, {
          process: event.process,
          deliveries: [],
          receiveMaximum: 0,
          toResend: [],
          isResumed: false,
        })
        return
      case 'connack':
        return this.#connack(event)
      case 'delivery':
        return this.#delivery(event)
      case 'request-ack':
        return this.#requestAck(event)
      case 'publish':
        return this.#publish(event)
      case 'publish-ack':
        return this.#publishAck(event)
      case 'call':
        return this.#call(event)
      case 'call-end': {
        const process = this.#processes.get(event.process)!
        process.running -= 1
        const call = process.calls.get(event.key)!
        process.calls.set(event.key, { ...call, outcome: event.outcome })
        return
      }
      case 'requested': {
        const { message, key, isCancel, expiresAtMs, reasonCode } = event
        this.#messages.set(message, {
          key,
          isCancel,
          expiresAtMs,
          end: reasonCode === 0 ? undefined : 'unrouted',
        })
        return
      }
      case 'acknowledged':
        this.#messages.get(event.message)!.end = 'acknowledged'
        return
      case 'lost':
        this.#messages.get(event.message)!.end = event.reason
        return
      case 'accepted':
        if (event.key === undefined) return
        if (event.reasonCode >= 0x80) this.#refused.add(event.key)
        else this.#accepted.set(event.key, (this.#accepted.get(event.key) ?? 0) + 1)
        return
      case 'quiet':
        if (!event.isQuiet)
          this.#broken('rest', `five minutes after all is well there is still: ${event.left}`)
        return
      case 'leftover':
        return this.#broken('rest', `after the drain process ${event.process} still has: ${event.what}`)
      case 'uncaught':
        return this.#broken('crash', event.text)
      case 'unknown-ack':
        return this.#broken(
          'D3',
          `the broker gets an acknowledgement of ${event.packetId}, which it has not sent`,
        )
      case 'closed':
      case 'fault':
      case 'log':
        return
    }
  }

  /** D2: what the broker took and did not lose was answered. */
  end(): void {
    const byKey = new Map<string, Message[]>()
    for (const message of this.#messages.values()) {
      // A wish to stop has no reply.
      if (message.isCancel) continue
      const others = byKey.get(message.key)
      if (others === undefined) byKey.set(message.key, [message])
      else others.push(message)
    }
    for (const [key, messages] of byKey) {
      const request = this.#request(key)
      if (request.qos === 0 || request.replyTopic === undefined) continue
      const held = messages.filter(({ end }) => end === undefined)
      if (held.length > 0) this.#broken('D2', `${key} is still with the broker`)
      const isLostByBroker = messages.every(
        ({ end }) => end === 'session' || end === 'unrouted' || end === 'expired',
      )
      if (isLostByBroker || this.#accepted.has(key) || this.#refused.has(key)) continue
      // Acknowledged without an answer: in order only where its time was up.
      if (messages.every(({ expiresAtMs }) => expiresAtMs !== undefined && expiresAtMs < this.#nowMs))
        continue
      this.#broken('D2', `${key} was never answered`)
    }
  }

  #connack(event: HistoryEvent & { kind: 'connack' }): void {
    if (event.reasonCode !== 0) return
    const connection = this.#connections.get(event.connection)!
    connection.receiveMaximum = event.receiveMaximum
    const process = this.#processes.get(connection.process)!
    // Packet Identifiers start again with a new session (MQTT 5 §4.1).
    if (!event.sessionPresent) process.unacknowledged.clear()
    connection.isResumed = event.sessionPresent
    connection.toResend = [...process.unacknowledged]
    process.open.clear()
  }

  #delivery(event: HistoryEvent & { kind: 'delivery' }): void {
    const { connection: number, message, key, isCancel, atMs, expirySeconds, qos } = event
    const connection = this.#connections.get(number)!
    const process = this.#processes.get(connection.process)!
    const expiresAtMs = expirySeconds === undefined ? Infinity : atMs + expirySeconds * 1000
    if (!process.firstSeenMs.has(message)) process.firstSeenMs.set(message, atMs)
    if (!isCancel) this.#mayRun(process, key, atMs, expiresAtMs)
    if (qos === 0) return
    connection.deliveries[event.packetId] = {
      message,
      key,
      isCancel,
      atMs,
      expiresAtMs,
      isAcknowledged: false,
    }
    this.#order(number).push(event.packetId)
  }

  #mayRun(process: Process, key: string, atMs: number, expiresAtMs: number): void {
    const budgetMs = Math.min(this.#request(key).timeoutMs ?? Infinity, this.#history.limits.modelTimeoutMs)
    const until = Math.min(expiresAtMs, atMs + budgetMs)
    const { duplicateWindowMs } = this.#history.limits
    const rememberedMs = expiresAtMs === Infinity ? atMs + duplicateWindowMs : expiresAtMs
    process.rememberedUntilMs.set(key, Math.min(rememberedMs, process.rememberedUntilMs.get(key) ?? Infinity))
    process.mayRunUntilMs.set(key, Math.max(until, process.mayRunUntilMs.get(key) ?? 0))
  }

  readonly #orders = new Map<number, number[]>()

  #order(connection: number): number[] {
    let order = this.#orders.get(connection)
    if (order === undefined) this.#orders.set(connection, (order = []))
    return order
  }

  // D3 (which), then D1 (when).
  #requestAck(event: HistoryEvent & { kind: 'request-ack' }): void {
    const { connection: number, packetId, atMs } = event
    const connection = this.#connections.get(number)!
    const delivery = connection.deliveries[packetId]
    if (delivery === undefined || delivery.isAcknowledged) {
      return this.#broken('D3', `connection ${number} acknowledges ${packetId}, which is not open on it`)
    }
    delivery.isAcknowledged = true
    const order = this.#order(number)
    if (this.#history.limits.isStrict && order[0] !== packetId) {
      this.#broken('D3', `connection ${number} acknowledges ${packetId} before ${order[0]}`)
    }
    order.splice(order.indexOf(packetId), 1)
    if (
      delivery.isCancel ||
      this.#request(delivery.key).replyTopic === undefined ||
      delivery.expiresAtMs <= atMs
    )
      return
    const process = this.#processes.get(connection.process)!
    const seenMs = process.firstSeenMs.get(delivery.message)!
    const answeredMs = process.answeredMs.get(delivery.key)
    if (answeredMs !== undefined && answeredMs >= seenMs) return
    // The answer and the error in its place: this broker takes neither.
    if ((process.refused.get(delivery.key) ?? 0) >= 2) return
    this.#broken('D1', `${delivery.key} (message ${delivery.message}) is acknowledged before an answer was`)
  }

  #publish(event: HistoryEvent & { kind: 'publish' }): void {
    const { connection: number, packetId, topic, correlation, qos, bodyKey, status } = event
    const connection = this.#connections.get(number)!
    const process = this.#processes.get(connection.process)!
    const key = topic.startsWith('infer/status/') ? undefined : (correlation ?? topic.split('/').at(-1)!)
    if (qos > 0) {
      process.open.set(packetId, { key, code: event.code })
      if (process.open.size > connection.receiveMaximum) {
        this.#broken(
          'window',
          `${process.open.size} publishes are open; the broker takes ${connection.receiveMaximum}`,
        )
      }
    }
    if (event.dup) this.#resent(number, connection, process, packetId)
    else if (qos > 0) {
      // Where it was given up its identifier is free again, and the newest user is the last in the order.
      process.unacknowledged.delete(packetId)
      process.unacknowledged.add(packetId)
    }
    if (key === undefined) return
    if (!topic.startsWith('infer/reply/') || /[+#]/.test(topic)) {
      return this.#broken('subtree', `a publish to "${topic}"`)
    }
    if (event.retain) this.#broken('subtree', `a retained reply to "${topic}"`)
    const request = this.#history.requests.get(key)
    if (request === undefined) return this.#broken('D4', `a reply to "${topic}" belongs to no request`)
    if (request.replyTopic !== topic && !isDerivedError(request, topic, status)) {
      this.#broken('D4', `the reply to ${key} goes to "${topic}" and not to "${request.replyTopic}"`)
    }
    if (correlation !== request.correlationData)
      this.#broken('D4', `the reply to ${key} has Correlation Data "${correlation}"`)
    if (bodyKey !== undefined && bodyKey !== key)
      this.#broken('D4', `the reply to ${key} carries the answer to ${bodyKey}`)
  }

  // MQTT 5 §4.4 and §4.6: on a resumed session, in the old order. What never reached the wire before is not known here.
  #resent(number: number, { isResumed, toResend }: Connection, process: Process, packetId: number): void {
    const index = toResend.indexOf(packetId)
    const isKnown = process.unacknowledged.has(packetId)
    if (!isResumed || (isKnown && index === -1)) {
      this.#broken('window', `connection ${number} sends ${packetId} again out of turn`)
    }
    if (isKnown) toResend.splice(0, index + 1)
    else process.unacknowledged.add(packetId)
  }

  #publishAck(event: HistoryEvent & { kind: 'publish-ack' }): void {
    const process = this.#processes.get(this.#connections.get(event.connection)!.process)!
    const publish = process.open.get(event.packetId)
    process.open.delete(event.packetId)
    process.unacknowledged.delete(event.packetId)
    const key = publish?.key
    if (key === undefined) return
    if (event.reasonCode < 0x80) process.answeredMs.set(key, event.atMs)
    // Where the answer was too large for this broker, only the error in its place was published.
    else
      process.refused.set(
        key,
        (process.refused.get(key) ?? 0) + (publish!.code === 'response_too_large' ? 2 : 1),
      )
  }

  #call(event: HistoryEvent & { kind: 'call' }): void {
    const { key, atMs } = event
    const { concurrency } = this.#history.limits
    const process = this.#processes.get(event.process)!
    process.running += 1
    if (process.running > concurrency)
      this.#broken('concurrency', `${process.running} calls run; allowed are ${concurrency}`)
    const untilMs = process.mayRunUntilMs.get(key)
    if (untilMs === undefined) return this.#broken('D4', `${key} is called and was not delivered`)
    if (atMs >= untilMs)
      this.#broken('D6', `${key} is called although its time was up at ${untilMs.toFixed(3)}`)
    const before = process.calls.get(key)
    // A failed call may be made again; one that runs or was answered may not.
    const isKnown = before !== undefined && atMs < before.rememberedUntilMs
    if (before?.outcome === 'running' || (isKnown && before.outcome === 'ok')) {
      this.#broken(
        'D5',
        `${key} is called again by process ${event.process}; the first call: ${before.outcome}`,
      )
    }
    process.calls.set(key, { outcome: 'running', rememberedUntilMs: process.rememberedUntilMs.get(key)! })
  }

  #request(key: string): PlannedRequest {
    return this.#history.requests.get(key)!
  }

  #broken(rule: string, what: string): void {
    this.violations.push({ rule, atMs: this.#nowMs, what })
  }
}

function newProcess(): Process {
  return {
    firstSeenMs: new Map(),
    mayRunUntilMs: new Map(),
    rememberedUntilMs: new Map(),
    answeredMs: new Map(),
    refused: new Map(),
    open: new Map(),
    unacknowledged: new Set(),
    calls: new Map(),
    running: 0,
  }
}

// An error about the Response Topic or the request itself goes to the derived topic.
function isDerivedError(request: PlannedRequest, topic: string, status: string | undefined): boolean {
  return status !== '200' && topic === request.topic.replace('/request/', '/reply/')
}
