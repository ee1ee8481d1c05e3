// Merges the concurrent requests of all clients for one model into fewer calls, and limits the calls in progress.
import { Problem, type CarriedBody } from '@inferwire/protocol'
import type { EndpointRequest, EndpointResponse } from '../../step.ts'
import type { Log } from '../../telemetry/index.ts'
import { AdmissionWindow } from './admission-window.ts'
import { Batch, rowsOf, SharedDeadline, type Entry } from './batch.ts'
import { jsonLengthOf, keyOf, readMember, type BatchedOperation } from './batched-operation.ts'
import { Halves, Search } from './size-limit.ts'

/** Options of `ModelBatcher`. */
export interface BatcherOptions {
  /** The exposed name. */
  readonly model: string
  /** Number of calls that may be in progress. */
  readonly concurrency: number
  /** Maximum number of instances per call. */
  readonly sizeMax: number
  /** Longest wait of a request for others, in milliseconds. */
  readonly delayMaxMs: number
  /** Whether the wait is learned, between 0 and `delayMaxMs`. Otherwise it is always `delayMaxMs`. */
  readonly isLearning: boolean
  /** Maximum size of a merged body in bytes. */
  readonly requestBytesMax: number
  readonly log: Log
}

// The statuses of a merged call that one of its requests, or its size, may have caused.
const DIVISIBLE_STATUSES: ReadonlySet<number> = new Set([400, 413, 422, 500])

/**
 * The gate admits the requests, and so limits how many wait here. A request that has a call of its own is sent
 * unchanged, and its response is not copied.
 */
export class ModelBatcher {
  readonly options: BatcherOptions
  // The batches that wait for a free call: by priority, then in the order in which they became due.
  readonly #due: Batch[] = []
  readonly #window: AdmissionWindow
  /** Number of requests here, waiting or in a call. */
  #admitted = 0
  #running = 0
  #isScheduled = false

  constructor(options: BatcherOptions) {
    this.options = options
    this.#window = new AdmissionWindow(options.concurrency, options.sizeMax)
  }

  /** Number of requests that the gate may admit. */
  get requestsMax(): number {
    return this.#window.requestsMax
  }

  /** Number of calls in progress. */
  get running(): number {
    return this.#running
  }

  /** Calls an operation, alone or together with other requests. @throws Problem, as the operation's endpoint does */
  call(operation: BatchedOperation, request: EndpointRequest): Promise<EndpointResponse> {
    const { problem } = request.deadline
    if (problem !== undefined) return Promise.reject(problem)
    this.#admitted += 1
    return new Promise((resolve, reject) => {
      const member = readMember(operation.rules, request)
      this.#join(operation, {
        request,
        member,
        arrivedAtMs: performance.now(),
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
    const rowsMax = operation.limit.rowsMax(entry.arrivedAtMs)
    const { member, request } = entry
    const key = member === undefined || member.rows >= rowsMax ? undefined : keyOf(request, member)
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
    batch.add(entry, (problem) => {
      batch.remove(entry)
      entry.request.batchMs ??= performance.now() - entry.arrivedAtMs
      entry.reject(problem)
      if (batch.entries.length === 0) this.#drop(batch)
    })
    if (!batch.isDue || batch.priority === priority) return
    this.#dequeue(batch)
    this.#enqueue(batch)
  }

  #drop(batch: Batch): void {
    this.#shut(batch)
    this.#unhold(batch)
    this.#dequeue(batch)
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
    this.#enqueue(batch)
  }

  #enqueue(batch: Batch): void {
    let at = this.#due.length
    while (at > 0 && this.#due[at - 1]!.priority < batch.priority) at -= 1
    this.#due.splice(at, 0, batch)
  }

  #dequeue(batch: Batch): void {
    const index = this.#due.indexOf(batch)
    if (index !== -1) this.#due.splice(index, 1)
  }

  // Starts calls after the other events of this turn of the event loop: requests that were received together share a
  // call without waiting for each other.
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
    for (const { request, arrivedAtMs } of entries) request.batchMs ??= nowMs - arrivedAtMs
    operation.figures.batchSize.observe(batch.rows)
    this.#window.called(entries.length, this.#admitted)
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
    // The inner endpoint waits on this deadline itself.
    request.deadline.waiting = undefined
    try {
      const response = await batch.operation.inner.call(request)
      entry.resolve(response)
      this.#succeeded(batch, rowsOf(entry), startedAtMs)
    } catch (error) {
      batch.halves?.search.singleFailed()
      entry.reject(error)
    }
  }

  async #callMerged(batch: Batch, startedAtMs: number): Promise<void> {
    const { operation, rows } = batch
    const entries = [...batch.entries]
    const deadline = new SharedDeadline(entries)
    const members = entries.map(({ member }) => member!)
    try {
      const request = mergedRequest(operation.rules!.merge(members), entries[0]!.request, deadline)
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
    }
  }

  #succeeded({ operation, halves }: Batch, rows: number, startedAtMs: number): void {
    const nowMs = performance.now()
    operation.learner?.called(rows, nowMs - startedAtMs)
    halves?.succeeded(nowMs)
  }

  // The answer cannot be divided, so merging does not work for this model.
  #divideAll(batch: Batch, entries: readonly Entry[], reason: string): void {
    const { operation, rows } = batch
    operation.figures.batchFailovers += 1
    operation.limit.failed(rows, 1, performance.now(), reason)
    this.#repeat(
      operation,
      entries.map((entry) => [entry]),
    )
  }

  // One of the requests may be invalid. Dividing the batch in half finds it with fewer calls than one call for each
  // request.
  #divide({ operation, rows, halves }: Batch, entries: readonly Entry[]): void {
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
    this.#repeat(operation, pieces, new Halves(rows, operation.limit, search))
  }

  // The requests have waited longer than all others, so they are sent next.
  #repeat(operation: BatchedOperation, pieces: readonly (readonly Entry[])[], halves?: Halves): void {
    const batches = pieces.map((entries) => {
      const batch = new Batch(operation, undefined, halves)
      for (const entry of entries) this.#add(batch, entry)
      batch.isDue = true
      return batch
    })
    this.#due.unshift(...batches)
  }
}

function mergedRequest(
  merged: CarriedBody,
  first: EndpointRequest,
  deadline: SharedDeadline,
): EndpointRequest {
  const { contentType, headers } = first
  return {
    body: asBuffer(merged.body),
    contentType,
    inferenceHeaderContentLength: lengthText(merged.jsonLength),
    headers,
    deadline,
    emit: undefined,
  }
}

function carriedOf(response: EndpointResponse): CarriedBody {
  return { body: response.body, jsonLength: jsonLengthOf(response) }
}

function partOf({ status, contentType }: EndpointResponse, part: CarriedBody): EndpointResponse {
  const inferenceHeaderContentLength = lengthText(part.jsonLength)
  return { status, body: asBuffer(part.body), contentType, inferenceHeaderContentLength }
}

function lengthText(jsonLength: number | undefined): string | undefined {
  return jsonLength === undefined ? undefined : String(jsonLength)
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

// Other errors are caused by the model server, not by a request, and would be the same for every request.
function isDivisible(error: unknown): boolean {
  if (!(error instanceof Problem)) return false
  if (error.code === 'upstream_error') return DIVISIBLE_STATUSES.has(error.status)
  return error.code === 'response_too_large' || error.code === 'upstream_invalid_response'
}
