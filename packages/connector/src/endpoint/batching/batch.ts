// A batch: requests that share one call to the model server, before and during the call.
import type { BatchMember, Problem } from '@inferwire/protocol'
import type { Deadline, EndpointRequest, EndpointResponse } from '../../step.ts'
import type { BatchedOperation } from './batched-operation.ts'
import type { Halves } from './size-limit.ts'

/** A request in a batch, with the promise of its answer. */
export interface Entry {
  readonly request: EndpointRequest
  /** Undefined if the request is sent in a call of its own. */
  readonly member: BatchMember | undefined
  readonly arrivedAtMs: number
  readonly resolve: (response: EndpointResponse) => void
  readonly reject: (error: unknown) => void
}

/** Requests for one call. A batch of one request is sent unchanged. */
export class Batch {
  readonly operation: BatchedOperation
  /** The key that all requests in the batch share; undefined if no further request may join. */
  readonly key: string | undefined
  /** The two halves of a failed batch, if this batch is one of them. */
  readonly halves: Halves | undefined
  readonly entries: Entry[] = []
  /** Total number of instances, and total size of the request bodies in bytes. */
  rows = 0
  bytes = 0
  /** The highest priority of the requests in the batch. */
  priority = 0
  /** The batch's turn among the batches of its class; -1 = before all others. */
  round = 0
  /** Whether the batch may start as soon as a call is free. */
  isDue = false
  timer: NodeJS.Timeout | undefined

  constructor(operation: BatchedOperation, key: string | undefined, halves?: Halves) {
    this.operation = operation
    this.key = key
    this.halves = halves
  }

  /** The common key of the requests, even if no other request may join; undefined for a request sent alone. */
  get limitKey(): string | undefined {
    return this.key ?? this.halves?.key
  }

  /** Adds a request. While the batch waits, `gone` is called if the request is cancelled or its deadline passes. */
  add(entry: Entry, gone: (problem: Problem) => void): void {
    const { request } = entry
    this.entries.push(entry)
    this.rows += rowsOf(entry)
    this.bytes += request.body.length
    this.priority = Math.max(this.priority, request.priority ?? 0)
    request.deadline.waiting = gone
  }

  remove(entry: Entry): void {
    this.entries.splice(this.entries.indexOf(entry), 1)
    this.rows -= rowsOf(entry)
    this.bytes -= entry.request.body.length
  }
}

/** Returns the number of instances in a request; 1 if the number is unknown. */
export function rowsOf({ member }: Entry): number {
  return member?.rows ?? 1
}

/**
 * The deadline of a merged call: the latest deadline of its members. A member leaves at once if it is cancelled or its
 * own deadline passes; the call stops when the last member has left.
 */
export class SharedDeadline implements Deadline {
  atMs: number
  problem: Problem | undefined
  waiting: ((problem: Problem) => void) | undefined
  readonly #present: Set<Entry>
  readonly #left: (entry: Entry) => void

  /** @param left called for each member that leaves */
  constructor(entries: readonly Entry[], left: (entry: Entry) => void) {
    this.#present = new Set(entries)
    this.#left = left
    this.atMs = this.#latest()
    for (const entry of entries) entry.request.deadline.waiting = (problem) => this.#leave(entry, problem)
  }

  /** Ends the call, and returns the members that have not left. */
  end(): Entry[] {
    const present = [...this.#present]
    for (const { request } of present) request.deadline.waiting = undefined
    this.#present.clear()
    return present
  }

  #leave(entry: Entry, problem: Problem): void {
    this.#present.delete(entry)
    this.#left(entry)
    entry.reject(problem)
    if (this.#present.size > 0) {
      this.atMs = this.#latest()
      return
    }
    this.problem = problem
    const { waiting } = this
    this.waiting = undefined
    waiting?.(problem)
  }

  #latest(): number {
    let latest = -Infinity
    for (const { request } of this.#present) latest = Math.max(latest, request.deadline.atMs)
    return latest
  }
}
