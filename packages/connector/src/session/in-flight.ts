// The publishes that wait for their PUBACK, by Packet Identifier, in the order in which they were sent.

/**
 * An array and not a Map: where much comes and goes, V8 chains a Map's old tables to its new ones, and what was once
 * in them stays alive until a full collection. Identifiers are given out in turn, so their order is that of sending.
 */
export class InFlight<Entry> {
  readonly #idMax: number
  readonly #entries: (Entry | undefined)[] = []
  #size = 0
  #lastId = 0

  /** @param idMax the identifiers are 1 to this one */
  constructor(idMax: number) {
    this.#idMax = idMax
  }

  get size(): number {
    return this.#size
  }

  get(packetId: number): Entry | undefined {
    return this.#entries[packetId]
  }

  /** Gives the entry the next free identifier (MQTT 5 §2.2.1). There must be one. */
  add(entry: Entry): number {
    do {
      this.#lastId = this.#lastId === this.#idMax ? 1 : this.#lastId + 1
    } while (this.#entries[this.#lastId] !== undefined)
    // Grown one by one: an array that begins with a hole in it would become a dictionary.
    while (this.#entries.length < this.#lastId) this.#entries.push(undefined)
    this.#entries[this.#lastId] = entry
    this.#size += 1
    return this.#lastId
  }

  delete(packetId: number): void {
    if (this.#entries[packetId] === undefined) return
    this.#entries[packetId] = undefined
    this.#size -= 1
  }

  clear(): void {
    this.#entries.length = 0
    this.#size = 0
  }

  /** The oldest first. */
  values(): Entry[] {
    const inTurn = [...this.#entries.slice(this.#lastId + 1), ...this.#entries.slice(0, this.#lastId + 1)]
    return inTurn.filter((entry) => entry !== undefined)
  }
}
