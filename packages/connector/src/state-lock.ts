// Holds the state folder for one process: two connectors with one name would take over each other's session at the broker,
// and read each other's journal and requests in safekeeping.
import { mkdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

/** Another process holds the folder. */
export class StateInUse extends Error {
  /** Of the other process. */
  readonly pid: string

  constructor(pid: string) {
    super(`The state folder is in use by process ${pid}.`)
    this.pid = pid
  }
}

// The longest path of a socket that every system takes (sun_path has 104 bytes on macOS).
const SOCKET_PATH_BYTES_MAX = 103

/**
 * A socket and not a file with a process id: it ends with its process, however that ends, and no other process can have
 * its number.
 */
export class StateLock {
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  /** Undefined where the folder cannot hold a socket: a connector must start there too. @throws StateInUse */
  static async take(folder: string): Promise<StateLock | undefined> {
    const path = join(folder, 'lock')
    if (process.platform === 'win32' || Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) return undefined
    const pid = await holderOf(path)
    if (pid !== undefined) throw new StateInUse(pid)
    const server = createServer((socket) => socket.on('error', () => {}).end(String(process.pid)))
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      // Left by a process that was killed.
      rmSync(path, { force: true })
      await new Promise<void>((resolve, reject) => server.on('error', reject).listen(path, resolve))
    } catch {
      return undefined
    }
    server.unref()
    return new StateLock(server)
  }

  release(): void {
    this.#server.close()
  }
}

async function holderOf(path: string): Promise<string | undefined> {
  try {
    return await text(connect(path))
  } catch {
    return undefined
  }
}
