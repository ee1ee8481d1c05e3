// Judges the history of a run by the delivery requirements. Pure: the same history gives the same verdict.
import { OpenRequests } from '../checkers/open-requests.ts'
import { Answers, type OpenReply } from './answers.ts'
import type { History, HistoryEvent, LossReason } from './history.ts'
import { PartContents } from './part-contents.ts'
import { RunningCalls } from './running-calls.ts'
import type { PlannedRequest } from './scenario.ts'

/** A violated rule. */
export interface Violation {
  /**
   * The requirements define `D1` to `D6`. The others: `part-order`, `part-after-final`, `stream-restart`, `part-content`
   * (parts that the model did not send), `ack-wrap` (reused Packet Identifiers), `window` (too many or wrongly resent
   * publishes), `subtree` (replies outside the reply topics), `rest` (unfinished work), `crash`, `concurrency`.
   */
  readonly rule: string
  readonly atMs: number
  readonly what: string
}

interface SeenDelivery {
  readonly packetId: number
  readonly message: number
  readonly key: string
  readonly isCancel: boolean
  readonly arrivedAtMs: number
  readonly expiresAtMs: number
}

interface Connection {
  readonly process: number
  /** Unacknowledged deliveries with QoS 1. */
  readonly deliveries: OpenRequests<SeenDelivery>
  receiveMaximum: number
  /** Packet Identifiers that a resumed session resends, in order. Later PUBACKs may have released some of them. */
  toResend: number[]
  isResumed: boolean
}

/** The fate of a requester's publish. */
interface Message {
  readonly key: string
  readonly isCancel: boolean
  readonly expiresAtMs: number | undefined
  /**
   * Whether the message was published after the event `quiet`. From then on the last process is drained, so the
   * message may wait in the broker for a process that never starts.
   */
  readonly isLate: boolean
  end: 'acknowledged' | 'unrouted' | LossReason | undefined
}

/** State of one connector process, without anything from earlier processes. */
interface Process {
  /** Time when each message was first delivered. */
  readonly firstSeenMs: Map<number, number>
  /** Time until which each key may be executed: the latest deadline of its deliveries. */
  readonly mayRunUntilMs: Map<string, number>
  /** Time until which an answer to each key must be remembered: the earliest limit of its deliveries. */
  readonly rememberedUntilMs: Map<string, number>
  readonly answers: Answers
  /** Unacknowledged publishes by Packet Identifier; undefined = not a reply. */
  readonly open: Map<number, OpenReply | undefined>
  /** Packet Identifiers of the unacknowledged publishes, in the order in which they were first sent. */
  readonly unacknowledged: Set<number>
  readonly contents: PartContents
  readonly calls: Map<string, { readonly outcome: string; readonly rememberedUntilMs: number }>
  readonly running: RunningCalls
}

// Tolerance of comparisons: times are sums of fractions, which have rounding errors.
const CLOCK_STEP_MS = 1e-6

/** Returns the violations in chronological order. */
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
  #isQuiet = false
  readonly #messages = new Map<number, Message>()
  readonly #accepted = new Set<string>()
  readonly #refused = new Set<string>()
  // Keys that are in safekeeping.
  readonly #kept = new Set<string>()
  #nowMs = 0

  constructor(history: History) {
    this.#history = history
  }

  see(event: HistoryEvent): void {
    this.#nowMs = event.atMs
    switch (event.kind) {
      case 'process':
        if (event.change === 'started') this.#processes.set(event.process, this.#newProcess())
        return
      case 'dialled':
        this.#connections.set(event.connection, {
          process: event.process,
          deliveries: new OpenRequests(),
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
        process.running.ended(this.#request(event.key).model, event.call)
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
          isLate: this.#isQuiet,
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
        // A multi-part answer counts as accepted when its final message is accepted.
        else if (!event.isPart) this.#accepted.add(event.key)
        return
      case 'kept':
        this.#kept.add(event.key)
        return
      case 'kept-answered':
        this.#kept.delete(event.key)
        return
      case 'taken':
        return this.#taken(event)
      case 'quiet':
        this.#isQuiet = true
        if (!event.isQuiet) this.#broken('rest', `not idle five minutes after the last fault: ${event.left}`)
        return
      case 'leftover':
        return this.#broken('rest', `after its drain, process ${event.process} still has: ${event.what}`)
      case 'uncaught':
        return this.#broken('crash', event.text)
      case 'unknown-ack':
        return this.#broken(
          'D3',
          `the broker received a PUBACK for ${event.packetId}, but has not sent this identifier`,
        )
      case 'closed':
      case 'fault':
      case 'log':
        return
    }
  }

  /** Checks D2: every request that the broker accepted and did not lose is answered. */
  end(): void {
    const byKey = new Map<string, Message[]>()
    for (const message of this.#messages.values()) {
      // A cancel message has no reply.
      if (message.isCancel || (message.isLate && message.end === undefined)) continue
      const others = byKey.get(message.key)
      if (others === undefined) byKey.set(message.key, [message])
      else others.push(message)
    }
    for (const [key, messages] of byKey) {
      const request = this.#request(key)
      if (request.qos === 0 || request.replyTopic === undefined) continue
      const held = messages.filter(({ end }) => end === undefined)
      if (held.length > 0) this.#broken('D2', `${key} is still in the broker`)
      const isLostByBroker = messages.every(
        ({ end }) => end === 'session' || end === 'unrouted' || end === 'expired',
      )
      if (isLostByBroker || this.#accepted.has(key) || this.#refused.has(key)) continue
      // A request may be acknowledged without an answer only after its expiry.
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
    // A new session has no unacknowledged Packet Identifiers (MQTT 5 §4.1).
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
    if (!isCancel) {
      this.#mayRun(process, key, atMs, expiresAtMs)
      process.answers.delivered(key, event.dup)
    }
    if (qos === 0) return
    const { packetId } = event
    connection.deliveries.add({ packetId, message, key, isCancel, arrivedAtMs: atMs, expiresAtMs })
  }

  // Records that a request of an earlier process is redelivered from disk.
  #taken({ process: number, key, receivedAtMs, expirySeconds }: HistoryEvent & { kind: 'taken' }): void {
    const process = this.#processes.get(number)!
    const expiresAtMs = expirySeconds === undefined ? Infinity : receivedAtMs + expirySeconds * 1000
    this.#mayRun(process, key, receivedAtMs, expiresAtMs)
    process.answers.delivered(key, true)
  }

  #mayRun(process: Process, key: string, atMs: number, expiresAtMs: number): void {
    const budgetMs = Math.min(this.#request(key).timeoutMs ?? Infinity, this.#history.limits.modelTimeoutMs)
    const until = Math.min(expiresAtMs, atMs + budgetMs)
    const { duplicateWindowMs } = this.#history.limits
    const rememberedMs = expiresAtMs === Infinity ? atMs + duplicateWindowMs : expiresAtMs
    process.rememberedUntilMs.set(key, Math.min(rememberedMs, process.rememberedUntilMs.get(key) ?? Infinity))
    process.mayRunUntilMs.set(key, Math.max(until, process.mayRunUntilMs.get(key) ?? 0))
  }

  // Checks D3 (which request is acknowledged), then D1 (when).
  #requestAck(event: HistoryEvent & { kind: 'request-ack' }): void {
    const { connection: number, packetId, atMs } = event
    const connection = this.#connections.get(number)!
    const process = this.#processes.get(connection.process)!
    const isDone = (delivery: SeenDelivery): boolean => this.#isDone(delivery, process, atMs)
    const acknowledged = connection.deliveries.acknowledge(packetId, isDone)
    if (acknowledged === undefined) {
      return this.#broken('D3', `connection ${number} acknowledges ${packetId}, which is not open on it`)
    }
    const { request, passed, isAmbiguous } = acknowledged
    if (
      passed !== undefined &&
      atMs - passed.arrivedAtMs + CLOCK_STEP_MS < this.#history.limits.ackHoldMaxMs
    ) {
      this.#broken('D3', `connection ${number} acknowledges ${packetId} before ${passed.packetId}`)
    }
    const { key, message } = request
    if (isAmbiguous) {
      const what = `connection ${number} acknowledges ${packetId}, which identifies several open deliveries; the oldest is ${key}`
      this.#broken('ack-wrap', what)
    } else if (!isDone(request)) {
      this.#broken('D1', `${key} (message ${message}) is acknowledged before its answer is complete`)
    }
  }

  #isDone({ key, message, isCancel, expiresAtMs }: SeenDelivery, process: Process, atMs: number): boolean {
    if (isCancel || this.#request(key).replyTopic === undefined || expiresAtMs <= atMs) return true
    if (this.#kept.has(key)) return true
    return process.answers.isAnsweredSince(key, process.firstSeenMs.get(message)!)
  }

  #publish(event: HistoryEvent & { kind: 'publish' }): void {
    const { connection: number, packetId, topic, correlation, qos, bodyKey, status, code, mark } = event
    const connection = this.#connections.get(number)!
    const process = this.#processes.get(connection.process)!
    const key = topic.startsWith('infer/status/') ? undefined : (correlation ?? topic.split('/').at(-1)!)
    if (qos > 0) {
      process.open.set(packetId, undefined)
      if (process.open.size > connection.receiveMaximum) {
        this.#broken(
          'window',
          `${process.open.size} publishes are in flight; the Receive Maximum is ${connection.receiveMaximum}`,
        )
      }
    }
    if (event.dup) this.#resent(number, connection, process, packetId)
    else if (qos > 0) {
      // A released identifier can be reused. The publish that reuses it is the last in the order.
      process.unacknowledged.delete(packetId)
      process.unacknowledged.add(packetId)
    }
    if (key === undefined) return
    if (!topic.startsWith('infer/reply/') || /[+#]/.test(topic)) {
      return this.#broken('subtree', `a publish on "${topic}"`)
    }
    if (event.retain) this.#broken('subtree', `a retained reply on "${topic}"`)
    const request = this.#history.requests.get(key)
    if (request === undefined) return this.#broken('D4', `a reply on "${topic}" does not belong to a request`)
    if (qos > 0) {
      const attempt = process.answers.published({ ...event, key, connection: number })
      process.open.set(packetId, { key, code, mark, attempt })
    }
    if (request.replyTopic !== topic && !(status !== undefined && isDerivedError(request, topic, status))) {
      this.#broken('D4', `the reply to ${key} is on "${topic}" instead of "${request.replyTopic}"`)
    }
    if (correlation !== request.correlationData)
      this.#broken('D4', `the reply to ${key} has Correlation Data "${correlation}"`)
    if (bodyKey !== undefined && bodyKey !== key)
      this.#broken('D4', `the reply to ${key} contains the answer to ${bodyKey}`)
    process.contents.published(request, event)
  }

  // MQTT 5 §4.4 and §4.6: a resumed session resends publishes in the original order. Publishes that were never on
  // the wire have no place in this order.
  #resent(number: number, { isResumed, toResend }: Connection, process: Process, packetId: number): void {
    const index = toResend.indexOf(packetId)
    const isKnown = process.unacknowledged.has(packetId)
    if (!isResumed || (isKnown && index === -1)) {
      this.#broken('window', `connection ${number} resends ${packetId} out of order`)
    }
    if (isKnown) toResend.splice(0, index + 1)
    else process.unacknowledged.add(packetId)
  }

  #publishAck(event: HistoryEvent & { kind: 'publish-ack' }): void {
    const process = this.#processes.get(this.#connections.get(event.connection)!.process)!
    const publish = process.open.get(event.packetId)
    process.open.delete(event.packetId)
    process.unacknowledged.delete(event.packetId)
    if (publish !== undefined) process.answers.acknowledged(publish, event.reasonCode, event.atMs)
  }

  #call(event: HistoryEvent & { kind: 'call' }): void {
    const { key, atMs } = event
    const { concurrency } = this.#history.limits
    const process = this.#processes.get(event.process)!
    const { model, behaviour } = this.#request(key)
    const running = process.running.began(model, event.call)
    if (running > concurrency)
      this.#broken('concurrency', `${running} calls of ${model} run; the limit is ${concurrency}`)
    const untilMs = process.mayRunUntilMs.get(key)
    if (untilMs === undefined)
      return this.#broken('D4', `the model is called for ${key}, which was not delivered`)
    if (atMs >= untilMs)
      this.#broken('D6', `the model is called for ${key}, which expired at ${untilMs.toFixed(3)}`)
    const before = process.calls.get(key)
    // A call may be repeated if it failed, or if its answer had parts and is therefore not remembered.
    const isStream = model === 'm' && behaviour.kind === 'stream'
    const isKnown = before !== undefined && !isStream && atMs < before.rememberedUntilMs
    if (before?.outcome === 'running' || (isKnown && before.outcome === 'ok')) {
      this.#broken(
        'D5',
        `process ${event.process} calls the model again for ${key}; outcome of the first call: ${before.outcome}`,
      )
    }
    process.calls.set(key, { outcome: 'running', rememberedUntilMs: process.rememberedUntilMs.get(key)! })
  }

  #newProcess(): Process {
    return {
      firstSeenMs: new Map(),
      mayRunUntilMs: new Map(),
      rememberedUntilMs: new Map(),
      answers: new Answers((rule, what) => this.#broken(rule, what)),
      open: new Map(),
      unacknowledged: new Set(),
      contents: new PartContents((rule, what) => this.#broken(rule, what)),
      calls: new Map(),
      running: new RunningCalls(),
    }
  }

  #request(key: string): PlannedRequest {
    return this.#history.requests.get(key)!
  }

  #broken(rule: string, what: string): void {
    this.violations.push({ rule, atMs: this.#nowMs, what })
  }
}

// Returns whether a reply is an error about the Response Topic or the request itself; such an error is sent to the
// derived topic.
function isDerivedError(request: PlannedRequest, topic: string, status: string): boolean {
  return status !== '200' && topic === request.topic.replace('/request/', '/reply/')
}
