// Starts, kills and restarts the connector of `npm run bench:slow`, and reads its metrics.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { start } from './child.mjs'
import { untilReady } from './measure.mjs'
import { BUILD } from './paths.mjs'
import { freePort } from './testbed.mjs'

const FOLDER = join(BUILD, 'slow-call')
const START_MS = 30_000

/** Runs one connector at a time; each uses the session and the state folder of its predecessor. */
export class SlowCallConnector {
  #options
  #ports
  #process

  constructor(options, mqttPort, modelPort) {
    this.#options = options
    this.#ports = { mqttPort, modelPort }
    rmSync(FOLDER, { recursive: true, force: true })
    mkdirSync(FOLDER, { recursive: true })
  }

  get pid() {
    return this.#process.pid
  }

  async start() {
    const adminPort = await freePort()
    this.#ports.adminPort = adminPort
    const file = join(FOLDER, 'connector-config')
    writeFileSync(file, JSON.stringify(merge(this.#config(), this.#options.config)))
    this.#process = start('slow-call-connector', process.execPath, [this.#options.cli, 'connect', '-c', file])
    const ended = this.#process.exited.then((how) => {
      throw new Error(`the connector did not start: ${how}\n${this.#process.logTail()}`)
    })
    ended.catch(() => {}) // From here on, an exit is not an error, because the connector is stopped deliberately.
    await Promise.race([untilReady(adminPort, AbortSignal.timeout(START_MS)), ended])
  }

  /** Kills the connector with SIGKILL, so that it sends no DISCONNECT. */
  async kill() {
    this.#process.child.kill('SIGKILL')
    await this.#process.exited
  }

  async stop() {
    await this.#process.stop()
  }

  async metric(name) {
    const response = await fetch(`http://127.0.0.1:${this.#ports.adminPort}/metrics`)
    const line = new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(await response.text())
    if (line === null) throw new Error(`the connector's /metrics has no ${name}`)
    return Number(line[1])
  }

  // Uses only options that the oldest compared version supports; newer options belong in the --config file.
  #config() {
    const { mqttPort, modelPort, adminPort } = this.#ports
    const { window, timeoutMs } = this.#options
    return {
      name: 'bench',
      broker: { url: `mqtt://127.0.0.1:${mqttPort}`, receiveMaximum: window },
      admin: { port: adminPort },
      log: { level: 'warn', format: 'json' },
      poison: { stateFolder: join(FOLDER, 'state') },
      // The timeout is short, so that the open call does not delay the end of the run.
      drain: { timeoutMs: 1000 },
      models: {
        echo: { url: `http://127.0.0.1:${modelPort}`, protocolVersion: 'v1', timeoutMs },
      },
    }
  }
}

// Merges maps, and replaces all other values.
function merge(base, over) {
  if (!isMap(base) || !isMap(over)) return over ?? base
  const keys = new Set([...Object.keys(base), ...Object.keys(over)])
  return Object.fromEntries([...keys].map((key) => [key, merge(base[key], over[key])]))
}

function isMap(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
