// Stores requests on disk if their Packet Identifiers must be given up before they are answered.
import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Delivery } from '../step.ts'
import { KeptDelivery, readKept, writeKept } from './kept-delivery.ts'

/** Is notified of the folder's failures. */
export interface SafekeepingListener {
  /** Called when a request could not be stored, because the folder is full or not writable. */
  refused(reason: string): void
  /** Called when a file in the folder is not a stored request or could not be removed; the file stays in the folder. */
  unreadable(path: string, reason: string): void
}

// The folder may be on a small volume. A request is stored only if it is still unanswered after 32,768 later requests,
// so few requests are stored at a time.
const BYTES_MAX = 32 * 1024 * 1024
const UNFINISHED = '.new'
const FILE_PATTERN = /^[\w-]+\.request\.json$/

/**
 * Packet Identifiers are reused after 65,535 messages. From then on, the PUBACK for one message may delete another
 * message that is not acknowledged. A request that waits for too long is therefore written to disk and acknowledged; if
 * this process ends before the answer, the next process reads the request.
 */
export class Safekeeping {
  readonly #folder: string
  readonly #listener: SafekeepingListener
  #bytes = 0
  #isMade = false

  constructor(folder: string, listener: SafekeepingListener) {
    this.#folder = folder
    this.#listener = listener
  }

  /**
   * Returns the requests of an earlier process, as redeliveries. When such a delivery is settled, its file is removed.
   */
  kept(): Delivery[] {
    const deliveries: Delivery[] = []
    for (const name of this.#names()) {
      const path = join(this.#folder, name)
      try {
        const { size } = statSync(path)
        const delivery = readKept(readFileSync(path, 'utf8'), () => this.#remove(path, size))
        this.#bytes += size
        deliveries.push(delivery)
      } catch (error) {
        this.#listener.unreadable(path, messageOf(error))
      }
    }
    return deliveries
  }

  /**
   * Writes the request to disk before it returns. Returns a function that removes the file and must be called exactly
   * once, after the request has been answered. Returns undefined if the request could not be stored; in that case its
   * Packet Identifier must not be given up.
   */
  keep(delivery: Delivery): (() => void) | undefined {
    // A request that was read from disk is already stored. A released request has no body any more; its reply is in
    // flight.
    if (delivery instanceof KeptDelivery || delivery.isReleased || !delivery.isWhole) return undefined
    const text = writeKept(delivery)
    const size = Buffer.byteLength(text)
    if (this.#bytes + size > BYTES_MAX) {
      this.#listener.refused(`the folder is full: ${this.#bytes} of at most ${BYTES_MAX} bytes are in use`)
      return undefined
    }
    const path = join(this.#folder, `${randomUUID()}.request.json`)
    try {
      if (!this.#isMade) mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
      this.#isMade = true
      writeDurably(this.#folder, path, text)
    } catch (error) {
      this.#isMade = false
      this.#listener.refused(messageOf(error))
      return undefined
    }
    this.#bytes += size
    return () => this.#remove(path, size)
  }

  // An incomplete file belongs to a request that was not acknowledged, so the file is removed, and the broker
  // redelivers the request.
  #names(): string[] {
    try {
      const names = readdirSync(this.#folder)
      for (const name of names)
        if (name.endsWith(UNFINISHED)) rmSync(join(this.#folder, name), { force: true })
      return names.filter((name) => FILE_PATTERN.test(name))
    } catch {
      return []
    }
  }

  // If a file cannot be removed, the next process answers its request a second time, which is better than losing a
  // request.
  #remove(path: string, size: number): void {
    this.#bytes -= size
    try {
      rmSync(path, { force: true })
    } catch (error) {
      this.#listener.unreadable(path, messageOf(error))
    }
  }
}

// Writes to a temporary file and renames it. Syncs the file and the folder before the PUBLISH is acknowledged, because
// the broker deletes its copy when it receives the PUBACK.
function writeDurably(folder: string, path: string, text: string): void {
  const unfinished = path + UNFINISHED
  try {
    synced(unfinished, 'w', (file) => writeFileSync(file, text))
    renameSync(unfinished, path)
    synced(folder, 'r')
  } catch (error) {
    rmSync(unfinished, { force: true })
    throw error
  }
}

function synced(path: string, flags: 'r' | 'w', write: (file: number) => void = () => {}): void {
  const file = openSync(path, flags, 0o600)
  try {
    write(file)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
