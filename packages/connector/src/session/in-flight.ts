// The publishes that are waiting for their PUBACK, stored by Packet Identifier, in the order in which they were sent.

/**
 * Stores entries by Packet Identifier, in an array instead of a Map: after many insertions and deletions, V8 links a
 * Map's old tables to its new ones, and deleted entries stay reachable until a full collection. Identifiers are
 * assigned in turn, so the entries are in the order in which they were sent. Figures: decision 0009.
 */
export class InFlight<Entry> {
  readonly #idMax: number
  readonly #entries: (Entry | undefined)[] = []
  #size = 0
  #lastId = 0

  /** @param idMax the largest identifier; the smallest is 1 */
  constructor(idMax: number) {
    this.#idMax = idMax
  }

  get size(): number {
    return this.#size
  }

  get(packetId: number): Entry | undefined {
    return this.#entries[packetId]
  }

  /** Assigns the next free identifier to the entry (MQTT 5 §2.2.1). At least one identifier must be free. */
  add(entry: Entry): number {
    do {
      this.#lastId = this.#lastId === this.#idMax ? 1 : this.#lastId + 1
    } while (this.#entries[this.#lastId] !== undefined)
    // The array grows by one element at a time, because V8 would turn an array with a hole into a dictionary.
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

  /** All entries, oldest first. */
  values(): Entry[] {
    const inTurn = [...this.#entries.slice(this.#lastId + 1), ...this.#entries.slice(0, this.#lastId + 1)]
    return inTurn.filter((entry) => entry !== undefined)
  }
}
