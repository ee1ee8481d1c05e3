// Finds the situations in a run that concern multi-part answers and shared calls.
import type { HistoryEvent } from './history.ts'

/** Names of the situations that must occur in a large number of runs. */
export const CALL_SITUATIONS: readonly string[] = [
  'cancelled in mid-stream',
  'deadline passed in mid-stream',
  'redelivered in mid-stream',
  'connection closed in mid-stream',
  'process killed in mid-stream',
  'shared call',
  'request left a shared call',
  'shared call divided after an error',
  'answer to a shared call cannot be divided',
  'redelivered during its shared call',
  'process killed during a shared call',
]

interface SharedCall {
  /** The keys that still wait for the call. */
  readonly present: Set<string>
  isShared: boolean
}

/** Records the situations of one run. */
export class CallCoverage {
  readonly #seen: Set<string>
  // Keys whose answer has parts, but no final message yet.
  readonly #begun = new Set<string>()
  // The shared calls by number. A call is removed when all of its requests have ended.
  readonly #calls = new Map<number, SharedCall>()
  // The number of the latest call for each key.
  readonly #callOf = new Map<string, number>()
  // Keys whose shared call failed with an error of the model server.
  readonly #failed = new Set<string>()

  constructor(seen: Set<string>) {
    this.#seen = seen
  }

  see(event: HistoryEvent): void {
    const { kind } = event
    if (kind === 'call') this.#called(event.key, event.call)
    else if (kind === 'call-end') this.#ended(event.key, event.call, event.outcome)
    else if (kind === 'publish') this.#published(event)
    else if (kind === 'delivery' && !event.isCancel && event.dup) this.#redelivered(event.key)
    else if (kind === 'closed' && this.#begun.size > 0) this.#seen.add('connection closed in mid-stream')
    else if (kind === 'process' && event.change === 'killed') this.#killed()
  }

  #redelivered(key: string): void {
    if (this.#begun.has(key)) this.#seen.add('redelivered in mid-stream')
    if (this.#isInSharedCall(key)) this.#seen.add('redelivered during its shared call')
  }

  #killed(): void {
    if (this.#begun.size > 0) this.#seen.add('process killed in mid-stream')
    if ([...this.#calls.values()].some(({ isShared }) => isShared))
      this.#seen.add('process killed during a shared call')
    this.#calls.clear()
    this.#failed.clear()
  }

  #called(key: string, call: number): void {
    const shared = this.#calls.get(call)
    if (shared === undefined) this.#calls.set(call, { present: new Set([key]), isShared: false })
    else {
      shared.present.add(key)
      shared.isShared = true
      this.#seen.add('shared call')
    }
    this.#callOf.set(key, call)
    if (this.#failed.delete(key)) this.#seen.add('shared call divided after an error')
  }

  #ended(key: string, call: number, outcome: string): void {
    const shared = this.#calls.get(call)
    if (shared === undefined) return
    shared.present.delete(key)
    const isAlone = shared.present.size === 0
    if (isAlone) this.#calls.delete(call)
    if (!shared.isShared) return
    if (!isAlone && (outcome === 'cancelled' || outcome === 'deadline_exceeded'))
      this.#seen.add('request left a shared call')
    if (outcome === 'upstream_error') this.#failed.add(key)
    if (outcome === 'indivisible') this.#seen.add('answer to a shared call cannot be divided')
  }

  #published({ correlation, topic, mark, code, dup }: HistoryEvent & { kind: 'publish' }): void {
    if (mark === undefined || dup) return
    const key = correlation ?? topic.split('/').at(-1)!
    if (!mark.isFinal) return void this.#begun.add(key)
    this.#begun.delete(key)
    if (mark.seq === 0) return
    if (code === 'cancelled') this.#seen.add('cancelled in mid-stream')
    if (code === 'deadline_exceeded') this.#seen.add('deadline passed in mid-stream')
  }

  #isInSharedCall(key: string): boolean {
    const shared = this.#calls.get(this.#callOf.get(key) ?? -1)
    return shared?.isShared === true && shared.present.has(key)
  }
}
