// Locks the state folder for one process. Two connectors with the same client identifier would take over each other's
// session, and read each other's journal and stored requests.
import { mkdirSync, rmdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

/** The error if another process holds the lock. */
export class StateInUse extends Error {
  override readonly name = 'StateInUse'
  /** Process id of the holder. */
  readonly pid: string

  constructor(pid: string, message = `The state folder is in use by process ${pid}.`) {
    super(message)
    this.pid = pid
  }
}

// The length of the longest socket path that works on every system (sun_path has 104 bytes on macOS).
const SOCKET_PATH_BYTES_MAX = 103

/**
 * A lock based on a Unix socket. Unlike a lock file that contains a process id, the socket is released even if its
 * process is killed, and a new process with the same process id cannot be mistaken for the holder.
 */
export class StateLock {
  readonly #server: Server
  /** The path of the folder if the lock created it, otherwise undefined. */
  readonly #created: string | undefined

  private constructor(server: Server, created: string | undefined) {
    this.#server = server
    this.#created = created
  }

  /** Takes the lock. Returns undefined if the folder cannot contain a socket. @throws StateInUse */
  static async take(folder: string): Promise<StateLock | undefined> {
    const path = join(folder, 'lock')
    if (process.platform === 'win32' || Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) return undefined
    const pid = await holderOf(path)
    if (pid !== undefined) throw new StateInUse(pid)
    const server = createServer((socket) => socket.on('error', () => {}).end(String(process.pid)))
    let isNew = false
    try {
      isNew = mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined
      // A killed process leaves its socket behind.
      rmSync(path, { force: true })
      await new Promise<void>((resolve, reject) => server.on('error', reject).listen(path, resolve))
    } catch {
      return undefined
    }
    server.unref()
    return new StateLock(server, isNew ? folder : undefined)
  }

  /** Releases the lock. Removes the folder if the lock created the folder and nothing else is in it. */
  release(): void {
    this.#server.close()
    if (this.#created === undefined) return
    try {
      rmdirSync(this.#created)
    } catch {
      // The folder is not empty.
    }
  }
}

async function holderOf(path: string): Promise<string | undefined> {
  try {
    return await text(connect(path))
  } catch {
    return undefined
  }
}
