// Records on disk whether the process shut down cleanly, and which suspected requests were in flight.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** For each request, by its fingerprint, the number of crashes during which it was in flight. */
export type Attempts = ReadonlyMap<string, number>

const RECORDS_MAX = 64
const MARK_FILE = 'running'
const JOURNAL_FILE = 'suspects.json'

/**
 * A folder with two small files: a mark that exists while the process runs, and the suspects with their attempts.
 * Nothing is synced to the disk: a request may crash the process, but not the machine, and the page cache outlives the
 * process.
 */
export class Journal {
  readonly #folder: string
  readonly #records = new Map<string, number>()
  readonly #running = new Map<string, number>()
  readonly #broken: (error: Error) => void
  #isBroken = false
  /** Whether the previous process ended without a clean shutdown. */
  readonly wasUnclean: boolean
  /** For each suspect, the number of earlier processes that crashed while the request was in flight. */
  readonly attempts: Attempts

  /**
   * @param broken called at most once, when the folder is no longer writable: from then on no request is suspected, and
   * everything else continues
   * @throws if the folder cannot be created or written.
   */
  constructor(folder: string, broken: (error: Error) => void = () => {}) {
    this.#folder = folder
    this.#broken = broken
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    this.wasUnclean = read(join(folder, MARK_FILE)) !== undefined
    this.attempts = new Map(this.wasUnclean ? parsed(read(join(folder, JOURNAL_FILE)) ?? '') : [])
    for (const [fingerprint, count] of this.attempts) this.#records.set(fingerprint, count)
    writeFileSync(join(folder, MARK_FILE), `${process.pid}\n`, { mode: 0o600 })
  }

  /** Records that the request is about to run. The record is on disk when this returns, unless the folder is broken. */
  begin(fingerprint: string): void {
    // Requests without id and Correlation Data may have the same fingerprint; such requests share one record.
    this.#running.set(fingerprint, (this.#running.get(fingerprint) ?? 0) + 1)
    this.#records.delete(fingerprint)
    this.#records.set(fingerprint, (this.attempts.get(fingerprint) ?? 0) + 1)
    // The oldest record is removed: its request has had the longest time to crash the process, and has not done so.
    if (this.#records.size > RECORDS_MAX) this.#records.delete(this.#records.keys().next().value!)
    this.#save()
  }

  /** Records that the request has ended without a crash. */
  end(fingerprint: string): void {
    const running = (this.#running.get(fingerprint) ?? 1) - 1
    if (running > 0) {
      this.#running.set(fingerprint, running)
      return
    }
    this.#running.delete(fingerprint)
    if (this.#records.delete(fingerprint)) this.#save()
  }

  /** Removes all records, because no request is suspected any more. */
  clear(): void {
    if (this.#records.size === 0) return
    this.#records.clear()
    this.#save()
  }

  /**
   * Records that the process has begun to shut down: if it is killed because the shutdown takes too long, no request is
   * suspected.
   */
  ending(): void {
    this.#try(() => rmSync(join(this.#folder, MARK_FILE), { force: true }))
  }

  /** Records that the process shuts down cleanly. */
  close(): void {
    this.ending()
    this.#try(() => rmSync(join(this.#folder, JOURNAL_FILE), { force: true }))
  }

  // Writes to a temporary file and renames it, so that after a crash at any point the file has either the old or the
  // new content.
  #save(): void {
    const path = join(this.#folder, JOURNAL_FILE)
    this.#try(() => {
      writeFileSync(`${path}.new`, JSON.stringify(Object.fromEntries(this.#records)), { mode: 0o600 })
      renameSync(`${path}.new`, path)
    })
  }

  // A full disk must not make a request fail, let alone crash the process.
  #try(write: () => void): void {
    try {
      write()
    } catch (error) {
      if (this.#isBroken) return
      this.#isBroken = true
      this.#broken(error as Error)
    }
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

// A corrupted file must not prevent the connector from starting.
function parsed(text: string): [string, number][] {
  try {
    const records: unknown = JSON.parse(text)
    if (typeof records !== 'object' || records === null) return []
    return Object.entries(records as Record<string, unknown>)
      .filter(
        (record): record is [string, number] => Number.isInteger(record[1]) && (record[1] as number) > 0,
      )
      .slice(0, RECORDS_MAX)
  } catch {
    return []
  }
}
