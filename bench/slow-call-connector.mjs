// Starts, kills and restarts the connector of `npm run bench:slow`.
import { forgetState, startConnector } from './connector.mjs'

const NAME = 'slow-call'

/** Runs one connector at a time; each uses the session and the state folder of its predecessor. */
export class SlowCallConnector {
  #options
  #ports
  #process

  constructor(options, mqttPort, modelPort) {
    this.#options = options
    this.#ports = { mqttPort, modelPort }
    forgetState(NAME)
  }

  get pid() {
    return this.#process.pid
  }

  async start() {
    const config = merge(this.#config(), this.#options.mergedConfig)
    this.#process = await startConnector(NAME, config, this.#options.cli)
  }

  /** Kills the connector with SIGKILL, so that it sends no DISCONNECT. */
  async kill() {
    this.#process.child.kill('SIGKILL')
    await this.#process.exited
  }

  async stop() {
    await this.#process.stop()
  }

  /** Returns one number from the connector's `/metrics`. */
  metric(name) {
    return this.#process.metric(name)
  }

  // Uses only options that the oldest compared version supports; newer options belong in the --config file.
  #config() {
    const { mqttPort, modelPort } = this.#ports
    const { window, timeoutMs } = this.#options
    return {
      name: 'bench',
      broker: { url: `mqtt://127.0.0.1:${mqttPort}`, receiveMaximum: window },
      log: { level: 'warn', format: 'json' },
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
