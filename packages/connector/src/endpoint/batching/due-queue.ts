// The batches that wait for a free call: higher classes first, and within a class the clients in turn.
import type { Batch, Entry } from './batch.ts'

// The batches of one priority class. The batches of one client are in successive rounds, so that a client with few
// batches does not wait for all batches of the other clients.
class DueClass {
  // In the order of their rounds, then in the order in which they became due.
  readonly batches: Batch[] = []
  #round = 0
  // The clients that had their turn in this round.
  readonly #served = new Set<string>()

  push(batch: Batch, round: number): void {
    batch.round = round
    let at = this.batches.length
    while (at > 0 && this.batches[at - 1]!.round > round) at -= 1
    this.batches.splice(at, 0, batch)
  }

  shift(): Batch | undefined {
    const batch = this.batches.shift()
    if (batch === undefined) return undefined
    if (batch.round > this.#round || this.batches.length === 0) this.#served.clear()
    this.#round = Math.max(this.#round, batch.round)
    if (this.batches.length > 0) for (const entry of batch.entries) this.#served.add(clientOf(entry))
    return batch
  }

  /** The next turn of a client. */
  roundOf(client: string): number {
    const last = this.batches.findLast((batch) => clientOf(batch.entries[0]!) === client)
    const served = this.#served.has(client) ? this.#round : this.#round - 1
    return Math.max(last?.round ?? served, served) + 1
  }
}

/** Batches of all operations of a model. */
export class DueQueue {
  // At most one for each of the ten priorities.
  readonly #classes = new Map<number, DueClass>()

  push(batch: Batch): void {
    const of = this.#of(batch.priority)
    const clients = new Set(batch.entries.map(clientOf))
    of.push(batch, Math.min(...[...clients].map((client) => of.roundOf(client))))
  }

  /** Adds the parts of a batch that has already had its turn. They go before all other batches of their class. */
  repeat(batches: readonly Batch[]): void {
    for (const batch of batches.toReversed()) {
      batch.round = -1
      this.#of(batch.priority).batches.unshift(batch)
    }
  }

  /** Moves a batch forward if the request that has joined it has a higher priority or an earlier turn. */
  joined(batch: Batch, entry: Entry, priorityBefore: number): void {
    if (batch.priority !== priorityBefore) {
      this.remove(batch, priorityBefore)
      this.push(batch)
      return
    }
    const of = this.#of(batch.priority)
    const round = of.roundOf(clientOf(entry))
    if (round >= batch.round) return
    this.remove(batch)
    of.push(batch, round)
  }

  remove(batch: Batch, priority = batch.priority): void {
    const { batches } = this.#of(priority)
    const index = batches.indexOf(batch)
    if (index !== -1) batches.splice(index, 1)
  }

  /** Removes and returns the batch whose turn it is. */
  shift(): Batch | undefined {
    let highest = -1
    for (const [priority, { batches }] of this.#classes) {
      if (batches.length > 0 && priority > highest) highest = priority
    }
    return this.#classes.get(highest)?.shift()
  }

  #of(priority: number): DueClass {
    let found = this.#classes.get(priority)
    if (found === undefined) this.#classes.set(priority, (found = new DueClass()))
    return found
  }
}

function clientOf({ request: { client = '' } }: Entry): string {
  return client
}
