// Keeps requests on disk whose Packet Identifier had to be given up before their answer.
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

/** What is told about the folder. */
export interface SafekeepingListener {
  /** A request cannot be kept: the folder cannot be written, or it is full. */
  refused(reason: string): void
  /** A file in the folder is not a kept request; it is left where it is. */
  unreadable(path: string, reason: string): void
}

// The folder may be a small volume; a request in it has waited for as long as 32,768 others needed.
const BYTES_MAX = 32 * 1024 * 1024
const UNFINISHED = '.new'
const FILE_PATTERN = /^[\w-]+\.request\.json$/

/**
 * Packet Identifiers come round after 65,535 messages, and an unacknowledged one may then be deleted by the
 * acknowledgement of another. A request that waits so long is written here and acknowledged; the next process reads it,
 * should this one end before the answer.
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

  /** Requests of an earlier process, as redeliveries. Settling one removes its file. */
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
   * Writes the request to the disk before it returns; the result removes it again, and must be called once when the
   * request was answered. Undefined: it could not be kept, and its Packet Identifier must not be given up.
   */
  keep(delivery: Delivery): (() => void) | undefined {
    // A kept one stays where it is; a released one has its reply in flight already, and no body that could run again.
    if (delivery instanceof KeptDelivery || delivery.isReleased || !delivery.isWhole) return undefined
    const text = writeKept(delivery)
    const size = Buffer.byteLength(text)
    if (this.#bytes + size > BYTES_MAX) {
      this.#listener.refused(`its folder holds ${this.#bytes} bytes, of at most ${BYTES_MAX}`)
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

  // What was not written to the end was never acknowledged, and is redelivered by the broker.
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

  // What cannot be removed is answered once more by the next process: at least once, never lost.
  #remove(path: string, size: number): void {
    this.#bytes -= size
    try {
      rmSync(path, { force: true })
    } catch (error) {
      this.#listener.unreadable(path, messageOf(error))
    }
  }
}

// By rename, and on the disk before the PUBLISH is acknowledged: the broker forgets it then.
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
