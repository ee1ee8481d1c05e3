// Merges the concurrent requests of all clients for one model into fewer calls, and limits the calls in progress.
import type { EndpointRequest, EndpointResponse } from '../../step.ts'
import type { Log } from '../../telemetry/index.ts'
import { AdmissionWindow } from './admission-window.ts'
import { Batch, rowsOf, SharedDeadline, type Entry } from './batch.ts'
import { DueQueue } from './due-queue.ts'
import { keyOf, readMember, type BatchedOperation, type LearnedSizes } from './batched-operation.ts'
import { HoldLearner } from './hold-learner.ts'
import { carriedOf, isDivisible, mergedRequest, partOf } from './merged-call.ts'
import { Halves, Search, SizeLimits } from './size-limit.ts'
import { Suspects } from './suspects.ts'

/** Options of `ModelBatcher`. */
export interface BatcherOptions {
  /** The exposed name. */
  readonly model: string
  /** Number of calls that may be in progress. */
  readonly concurrency: number
  /** Maximum number of instances per call. */
  readonly sizeMax: number
  /** Longest time that a request waits for others to join it, in milliseconds. */
  readonly delayMaxMs: number
  /** Whether the wait is learned, between 0 and `delayMaxMs`. Otherwise it is always `delayMaxMs`. */
  readonly isLearning: boolean
  /** Maximum size of a merged body in bytes. */
  readonly requestBytesMax: number
  readonly budget: BytesHeld
  readonly log: Log
}

/** Counts the bytes that this process holds. */
export interface BytesHeld {
  take(bytes: number): void
  give(bytes: number): void
}

/**
 * The gate admits the requests, and so limits how many wait here. A request that is sent in a call of its own is not
 * changed, and its response is not copied.
 */
export class ModelBatcher {
  readonly options: BatcherOptions
  // The batches that wait for a free call.
  readonly #due = new DueQueue()
  readonly #window: AdmissionWindow
  readonly #suspects = new Suspects()
  readonly #learned = new Map<string, LearnedSizes>()
  /** Whether any operation merges requests; otherwise nothing waits here. */
  isMerging = false
  /** Number of requests that are admitted and not yet answered, and the number of those that wait for a call. */
  #admitted = 0
  #waiting = 0
  // Set on arrival, because a check at the start of a call would miss requests that have just been answered.
  #wasFull = false
  #running = 0
  #isScheduled = false

  constructor(options: BatcherOptions) {
    this.options = options
    this.#window = new AdmissionWindow(options.concurrency, options.sizeMax)
  }

  /** Number of requests that the gate may admit. */
  get requestsMax(): number {
    return this.isMerging ? this.#window.requestsMax : this.options.concurrency
  }

  /** Number of requests that wait for others or for a free call. */
  get waiting(): number {
    return this.#waiting
  }

  /** Number of calls in progress. */
  get running(): number {
    return this.#running
  }

  /** Returns what was learned from the calls of an operation. It is kept when the model's facts change. */
  learnedOf(operation: string): LearnedSizes {
    let learned = this.#learned.get(operation)
    if (learned === undefined) {
      const { sizeMax, delayMaxMs, isLearning, model, log } = this.options
      learned = {
        limits: new SizeLimits(sizeMax, log, { model, operation }),
        learner: isLearning ? new HoldLearner(delayMaxMs) : undefined,
      }
      this.#learned.set(operation, learned)
    }
    return learned
  }

  /** Calls an operation, alone or together with other requests. @throws Problem, as the operation's endpoint does */
  call(operation: BatchedOperation, request: EndpointRequest): Promise<EndpointResponse> {
    const { problem } = request.deadline
    if (problem !== undefined) return Promise.reject(problem)
    this.#admitted += 1
    if (this.#admitted >= this.requestsMax) this.#wasFull = true
    return new Promise((resolve, reject) => {
      const arrivedAtMs = performance.now()
      const isAlone = this.#suspects.has(request.client, arrivedAtMs)
      const member = isAlone ? undefined : readMember(operation.rules, request)
      this.#join(operation, {
        request,
        member,
        arrivedAtMs,
        resolve: (response) => {
          this.#admitted -= 1
          resolve(response)
        },
        reject: (error) => {
          this.#admitted -= 1
          reject(error)
        },
      })
    })
  }

  #join(operation: BatchedOperation, entry: Entry): void {
    const { member, request } = entry
    const fullKey = member === undefined ? undefined : keyOf(request, member)
    const rowsMax = fullKey === undefined ? 1 : operation.limits.rowsMax(fullKey, entry.arrivedAtMs)
    const key = member === undefined || member.rows >= rowsMax ? undefined : fullKey
    const open = key === undefined ? undefined : operation.open.get(key)
    if (open !== undefined && this.#hasRoom(open, entry, rowsMax)) {
      this.#add(open, entry)
      if (open.rows >= rowsMax) this.#close(open)
    } else {
      if (open !== undefined) this.#close(open)
      this.#begin(new Batch(operation, key), entry)
    }
    this.#schedule()
  }

  #hasRoom(batch: Batch, { member, request }: Entry, rowsMax: number): boolean {
    return (
      batch.rows + member!.rows <= rowsMax &&
      batch.bytes + request.body.length <= this.options.requestBytesMax
    )
  }

  #begin(batch: Batch, entry: Entry): void {
    const { key, operation } = batch
    this.#add(batch, entry)
    if (key !== undefined) operation.open.set(key, batch)
    const holdMs = key === undefined ? 0 : this.#holdMs(operation)
    if (holdMs === 0) return this.#becomeDue(batch)
    operation.held.add(batch)
    batch.timer = setTimeout(() => {
      this.#becomeDue(batch)
      this.#pump()
    }, holdMs)
  }

  // While no call of the operation runs, probably no other request is about to arrive, so a learned wait is 0.
  #holdMs({ learner, running }: BatchedOperation): number {
    if (learner === undefined) return this.options.delayMaxMs
    return running === 0 ? 0 : learner.holdMs()
  }

  #add(batch: Batch, entry: Entry): void {
    const { priority } = batch
    this.#waiting += 1
    batch.add(entry, (problem) => {
      this.#waiting -= 1
      batch.remove(entry)
      entry.request.batchMs ??= performance.now() - entry.arrivedAtMs
      entry.reject(problem)
      if (batch.entries.length === 0) this.#drop(batch)
    })
    if (batch.isDue) this.#due.joined(batch, entry, priority)
  }

  #drop(batch: Batch): void {
    this.#shut(batch)
    this.#unhold(batch)
    this.#due.remove(batch)
  }

  // Closes a batch to further requests.
  #close(batch: Batch): void {
    this.#shut(batch)
    this.#becomeDue(batch)
  }

  // A later batch may already be open under the same key.
  #shut(batch: Batch): void {
    const { key, operation } = batch
    if (key !== undefined && operation.open.get(key) === batch) operation.open.delete(key)
  }

  #unhold(batch: Batch): void {
    clearTimeout(batch.timer)
    batch.operation.held.delete(batch)
  }

  #becomeDue(batch: Batch): void {
    if (batch.isDue) return
    batch.isDue = true
    if (batch.operation.held.has(batch)) batch.operation.learner?.held(batch.entries.length > 1)
    this.#unhold(batch)
    this.#due.push(batch)
  }

  // Starts calls after the other events of this turn of the event loop, so that requests that were received
  // together share a call without waiting for each other.
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#pump()
    })
  }

  #pump(): void {
    while (this.#running < this.options.concurrency) {
      const batch = this.#due.shift()
      if (batch === undefined) return
      this.#start(batch)
    }
  }

  #start(batch: Batch): void {
    const { operation, entries } = batch
    this.#shut(batch)
    const nowMs = performance.now()
    this.#waiting -= entries.length
    removeLate(batch, nowMs)
    if (entries.length === 0) return
    for (const { request, arrivedAtMs } of entries) request.batchMs ??= nowMs - arrivedAtMs
    operation.figures.batchSize.observe(batch.rows)
    if (this.#wasFull) this.#window.called(entries.length, batch.rows)
    this.#wasFull = false
    operation.running += 1
    this.#running += 1
    const ended = (): void => this.#ended(operation)
    const [first] = entries
    if (entries.length === 1) this.#callSingle(batch, first!, nowMs).then(ended, ended)
    else this.#callMerged(batch, nowMs).then(ended, ended)
  }

  #ended(operation: BatchedOperation): void {
    operation.running -= 1
    this.#running -= 1
    // The end of a call frees the model server, so there is no reason to wait longer for others.
    if (operation.learner !== undefined) for (const batch of operation.held) this.#becomeDue(batch)
    this.#pump()
  }

  async #callSingle(batch: Batch, entry: Entry, startedAtMs: number): Promise<void> {
    const { request } = entry
    // From now on, the inner endpoint watches the deadline itself.
    request.deadline.waiting = undefined
    try {
      const response = await batch.operation.inner.call(request)
      entry.resolve(response)
      this.#succeeded(batch, rowsOf(entry), startedAtMs)
    } catch (error) {
      batch.halves?.search.singleFailed(request.client)
      this.#suspect(batch)
      entry.reject(error)
    }
  }

  async #callMerged(batch: Batch, startedAtMs: number): Promise<void> {
    const { operation, rows } = batch
    const entries = [...batch.entries]
    const { budget } = this.options
    // Bytes that the gate does not count: the merged body, and the bodies of members that have left.
    let held = 0
    const hold = (bytes: number): void => {
      held += bytes
      budget.take(bytes)
    }
    const deadline = new SharedDeadline(entries, ({ request }) => hold(request.body.length))
    const members = entries.map(({ member }) => member!)
    try {
      const request = mergedRequest(operation.rules!.merge(members), entries[0]!.request, deadline)
      hold(request.body.length)
      const response = await operation.inner.call(request)
      const parts = operation.rules!.split(members, carriedOf(response))
      const present = deadline.end()
      if (parts === undefined) {
        this.#divideAll(batch, present, 'its answer does not have one part per instance')
        return
      }
      const remaining = new Set(present)
      entries.forEach((entry, index) => {
        if (remaining.has(entry)) entry.resolve(partOf(response, parts[index]!))
      })
      this.#succeeded(batch, rows, startedAtMs)
    } catch (error) {
      const present = deadline.end()
      if (isDivisible(error)) this.#divide(batch, present)
      else for (const { reject } of present) reject(error)
    } finally {
      budget.give(held)
    }
  }

  #succeeded(batch: Batch, rows: number, startedAtMs: number): void {
    const { operation, halves } = batch
    const nowMs = performance.now()
    operation.learner?.called(rows, nowMs - startedAtMs)
    halves?.succeeded(nowMs)
    this.#suspect(batch)
  }

  // A client that has sent a bad request may send another one, and each bad request costs several calls.
  #suspect({ halves }: Batch): void {
    for (const client of halves?.search.takeCulprits() ?? []) this.#suspects.add(client, performance.now())
  }

  // The answer cannot be divided, so merging does not work for this model.
  #divideAll(batch: Batch, entries: readonly Entry[], reason: string): void {
    const { operation, rows, limitKey } = batch
    operation.figures.batchFailovers += 1
    operation.limits.failed(limitKey!, rows, 1, performance.now(), reason)
    this.#repeat(
      operation,
      entries.map((entry) => [entry]),
    )
  }

  // One of the requests may be invalid. Dividing the batch in half finds it with fewer calls than one call for each
  // request.
  #divide({ operation, rows, halves, limitKey }: Batch, entries: readonly Entry[]): void {
    operation.figures.batchFailovers += 1
    const search = halves?.search ?? new Search()
    if (search.isHopeless) {
      this.#repeat(
        operation,
        entries.map((entry) => [entry]),
      )
      return
    }
    const middle = Math.ceil(entries.length / 2)
    const pieces = [entries.slice(0, middle), entries.slice(middle)].filter(({ length }) => length > 0)
    this.#repeat(operation, pieces, new Halves(rows, operation.limits, limitKey!, search))
  }

  // The requests have waited longer than all others of their class, so they are sent next.
  #repeat(operation: BatchedOperation, pieces: readonly (readonly Entry[])[], halves?: Halves): void {
    const batches = pieces.map((entries) => {
      const batch = new Batch(operation, undefined, halves)
      for (const entry of entries) this.#add(batch, entry)
      batch.isDue = true
      return batch
    })
    this.#due.repeat(batches)
  }
}

// If the process was stopped or busy, a batch may start before the timers of passed deadlines have fired. The
// requests with these deadlines are not sent any more; their timers end them.
function removeLate(batch: Batch, nowMs: number): void {
  for (const entry of batch.entries.filter(({ request }) => request.deadline.atMs <= nowMs)) {
    const { request, arrivedAtMs, reject } = entry
    batch.remove(entry)
    request.batchMs ??= nowMs - arrivedAtMs
    request.deadline.waiting = reject
  }
}
