// Locks the state folder for one process. Two connectors with one client identifier would take over each other's
// session and read each other's journal and kept requests.
import { mkdirSync, rmdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

/** Another process holds the lock. */
export class StateInUse extends Error {
  override readonly name = 'StateInUse'
  /** Process id of the holder. */
  readonly pid: string

  constructor(pid: string, message = `The state folder is in use by process ${pid}.`) {
    super(message)
    this.pid = pid
  }
}

// The longest socket path that works on every system (sun_path has 104 bytes on macOS).
const SOCKET_PATH_BYTES_MAX = 103

/**
 * A lock made of a Unix socket. Unlike a file with a process id, it ends with its process even if that is killed, and
 * a reused process id cannot be mistaken for the holder.
 */
export class StateLock {
  readonly #server: Server
  /** The folder, if this lock created it. */
  readonly #created: string | undefined

  private constructor(server: Server, created: string | undefined) {
    this.#server = server
    this.#created = created
  }

  /** Takes the lock. Undefined if the folder cannot hold a socket: the connector starts anyway. @throws StateInUse */
  static async take(folder: string): Promise<StateLock | undefined> {
    const path = join(folder, 'lock')
    if (process.platform === 'win32' || Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) return undefined
    const pid = await holderOf(path)
    if (pid !== undefined) throw new StateInUse(pid)
    const server = createServer((socket) => socket.on('error', () => {}).end(String(process.pid)))
    let isNew = false
    try {
      isNew = mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined
      // Left behind by a killed process.
      rmSync(path, { force: true })
      await new Promise<void>((resolve, reject) => server.on('error', reject).listen(path, resolve))
    } catch {
      return undefined
    }
    server.unref()
    return new StateLock(server, isNew ? folder : undefined)
  }

  /** Releases the lock. A folder that it created is removed, unless something else is in it. */
  release(): void {
    this.#server.close()
    if (this.#created === undefined) return
    try {
      rmdirSync(this.#created)
    } catch {
      // It is not empty.
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
