// What survives the end of the process: whether it ended by itself, and which requests it was busy with.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** How often a request was under way when the process ended. */
export type Attempts = ReadonlyMap<string, number>

const RECORDS_MAX = 64
const MARK_FILE = 'running'
const JOURNAL_FILE = 'suspects.json'

/**
 * A folder with two small files: a mark that is there while the process runs, and the suspects with their attempts.
 * Nothing is synced to the disk: the page cache outlives a process, and a machine that fell is not a request's fault.
 */
export class Journal {
  readonly #folder: string
  readonly #records = new Map<string, number>()
  readonly #running = new Map<string, number>()
  readonly #broken: (error: Error) => void
  #isBroken = false
  /** The last process ended without saying goodbye. */
  readonly wasUnclean: boolean
  /** How often each suspect was under way when earlier processes ended. */
  readonly attempts: Attempts

  /**
   * `broken` is called once, when the folder cannot be written any more: nobody is found then, and nothing else suffers.
   * @throws when the folder cannot be made or written now.
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

  /** Notes that the request is about to be executed; on disk when this returns, unless the folder is broken. */
  begin(fingerprint: string): void {
    // Requests without a name of their own may look the same; together they count once.
    this.#running.set(fingerprint, (this.#running.get(fingerprint) ?? 0) + 1)
    this.#records.delete(fingerprint)
    this.#records.set(fingerprint, (this.attempts.get(fingerprint) ?? 0) + 1)
    // The oldest first: they waited longest for their turn to be a suspect.
    if (this.#records.size > RECORDS_MAX) this.#records.delete(this.#records.keys().next().value!)
    this.#save()
  }

  /** The request was survived. */
  end(fingerprint: string): void {
    const running = (this.#running.get(fingerprint) ?? 1) - 1
    if (running > 0) {
      this.#running.set(fingerprint, running)
      return
    }
    this.#running.delete(fingerprint)
    if (this.#records.delete(fingerprint)) this.#save()
  }

  /** Nothing is suspected any more. */
  clear(): void {
    if (this.#records.size === 0) return
    this.#records.clear()
    this.#save()
  }

  /** The process was told to end: if it is killed because it takes too long, nobody is suspected. */
  ending(): void {
    this.#try(() => rmSync(join(this.#folder, MARK_FILE), { force: true }))
  }

  /** The process ends by itself. */
  close(): void {
    this.ending()
    this.#try(() => rmSync(join(this.#folder, JOURNAL_FILE), { force: true }))
  }

  // By rename: a process that ends in the middle leaves the old file or the new one.
  #save(): void {
    const path = join(this.#folder, JOURNAL_FILE)
    this.#try(() => {
      writeFileSync(`${path}.new`, JSON.stringify(Object.fromEntries(this.#records)), { mode: 0o600 })
      renameSync(`${path}.new`, path)
    })
  }

  // A full disk must not become a request's error, and still less the end of the process.
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

// A file that somebody changed must not keep the connector from starting.
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
