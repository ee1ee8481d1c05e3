// Runs Envoy with a configuration, and stops it.
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { pythonOf } from '../fixtures/cache-folder.ts'
import { spawnTied } from '../fixtures/processes.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

/** A running Envoy. */
export interface Envoy {
  /** Returns the log: warnings and errors. */
  log(): string
  stop(): Promise<void>
}

const START_TIMEOUT_MS = 60_000
const POLL_MS = 50
// Outgoing connections get their ports from 32768 on, so a port below stays free until Envoy listens on it.
const PORT_MIN = 11_000
const PORT_MAX = 32_000
const ADDRESS_FILE = 'admin-address'

/** Returns free loopback ports for Envoy's listeners. */
export async function envoyPorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN))
    if (await isFree(port)) ports.add(port)
  }
  return [...ports]
}

/** Starts Envoy; resolves when its listeners accept connections. @throws Error with its log if it does not start */
export async function startEnvoy(resources: { listeners: object[]; clusters: object[] }): Promise<Envoy> {
  const folder = tempFolder('envoy')
  const file = join(folder, 'envoy.json')
  const admin = { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } }
  writeFileSync(file, JSON.stringify({ admin, static_resources: resources }))
  const logFile = join(folder, 'log')
  const logFd = openSync(logFile, 'a')
  const python = pythonOf('envoy', new URL('constraints.txt', import.meta.url))
  const child = spawnTied(
    join(python, '../envoy'),
    // Several Envoys on one machine must not share memory.
    ['--config-path', file, '--use-dynamic-base-id', '--concurrency', '1', '--log-level', 'warning'].concat(
      '--admin-address-path',
      join(folder, ADDRESS_FILE),
    ),
    { stdio: ['ignore', logFd, logFd] },
  )
  closeSync(logFd)
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const log = (): string => readFileSync(logFile, 'utf8')
  const stop = async (): Promise<void> => {
    if (!hasEnded()) child.kill('SIGKILL')
    await ended
  }
  const until = Date.now() + START_TIMEOUT_MS
  while (Date.now() < until && !hasEnded()) {
    if (await isReady(join(folder, ADDRESS_FILE))) return { log, stop }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  await stop()
  throw new Error(`Envoy did not start. Its log:\n${log()}`)
}

async function isReady(addressFile: string): Promise<boolean> {
  if (!existsSync(addressFile)) return false
  const address = readFileSync(addressFile, 'utf8').trim()
  if (address === '') return false
  return fetch(`http://${address}/ready`, { signal: AbortSignal.timeout(2_000) }).then(
    async (response) => (await response.text()).startsWith('LIVE'),
    () => false,
  )
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
