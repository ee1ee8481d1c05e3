// Starts `inferwire connect` with a configuration file, and reads its metrics.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { start } from './child.mjs'
import { BUILD, ROOT } from './paths.mjs'
import { freePort } from './testbed.mjs'
import { untilReady } from './until-ready.mjs'

const START_MS = 30_000

/** Deletes the state of a benchmark's connector, so that the next one starts without it. */
export function forgetState(name) {
  rmSync(join(BUILD, name), { recursive: true, force: true })
}

/**
 * Writes the configuration of a benchmark's connector. The state folder is in the benchmark's own folder, so that the
 * connector does not use the state of another one.
 * @returns {string} path of the file
 */
export function writeConfig(name, config) {
  const folder = join(BUILD, name)
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'connector-config')
  writeFileSync(
    file,
    JSON.stringify({ ...config, poison: { stateFolder: join(folder, 'state'), ...config.poison } }),
  )
  return file
}

/**
 * Starts a connector; resolves when it is ready.
 * @param {string} name the name of the benchmark, and of the log file
 * @param {object} config the configuration without the admin server's port
 * @param {string} [cli] path of the `inferwire` command
 * @returns what `start` in child.mjs returns, and `metric(name)`, which reads one number from `/metrics`
 */
export async function startConnector(name, config, cli = join(ROOT, 'packages/cli/bin/inferwire.js')) {
  const adminPort = await freePort()
  const file = writeConfig(name, { ...config, admin: { ...config.admin, port: adminPort } })
  const connector = start(`${name}-connector`, process.execPath, [cli, 'connect', '-c', file])
  const ended = connector.exited.then((how) => {
    throw new Error(`the connector did not start: ${how}\n${connector.logTail()}`)
  })
  ended.catch(() => {}) // From here on, an exit is not an error, because the connector is stopped deliberately.
  await Promise.race([untilReady(adminPort, AbortSignal.timeout(START_MS)), ended])
  return { ...connector, metric: (metric) => readMetric(adminPort, metric) }
}

async function readMetric(adminPort, name) {
  const response = await fetch(`http://127.0.0.1:${adminPort}/metrics`)
  const line = new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(await response.text())
  if (line === null) throw new Error(`the connector's /metrics has no ${name}`)
  return Number(line[1])
}
