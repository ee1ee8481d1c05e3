// Starts an installed Mosquitto with a configuration in a temporary folder.
import { spawn, type ChildProcess } from 'node:child_process'
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, isIP } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { answersConnect } from './external.ts'
import type { Broker, BrokerOptions } from './broker.ts'
import { listenOrExplain } from './port-taken.ts'

// Debian and Homebrew install servers in folders that are not on a user's PATH.
const MORE_PLACES = ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/sbin']
const START_TIMEOUT_MS = 5_000
const POLL_MS = 20
// How long Mosquitto may take to stop after SIGTERM before it is killed.
const TERM_TIMEOUT_MS = 300
const LAST_WORDS_MAX = 2_000

/**
 * Starts Mosquitto. @throws PortTakenError, or an Error that explains how to install Mosquitto or contains its
 * last output
 */
export async function startMosquittoBroker(options: BrokerOptions): Promise<Broker> {
  const program = findMosquitto(process.env['PATH'] ?? '')
  const host = options.host ?? '127.0.0.1'
  const mqttPort = await freePort(options.mqttPort, host, '--mqtt-port')
  const wsPort = await freePort(options.wsPort, host, '--ws-port')
  const name = isIP(host) === 6 ? `[${host}]` : host
  const url = `mqtt://${name}:${mqttPort}`
  const first = await run(program, mosquittoConf(host, mqttPort, wsPort), url)
  if (first.broker !== undefined) return { ...first.broker, wsUrl: `ws://${name}:${wsPort}` }
  if (/websockets support not available/i.test(first.lastWords)) {
    options.log?.(`MQTT: ${program} was built without WebSocket support; it listens on ${url} only.`)
    const second = await run(program, mosquittoConf(host, mqttPort), url)
    if (second.broker !== undefined) return second.broker
  }
  throw new Error(
    `Mosquitto (${program}) did not start. Its last output:\n${first.lastWords.trim() || '(none)'}\nUse --broker embedded, or other ports.`,
  )
}

/** Returns the path of the program. @throws Error that explains how to install it */
export function findMosquitto(path: string, morePlaces: readonly string[] = MORE_PLACES): string {
  const places = [...path.split(':').filter((place) => place !== ''), ...morePlaces]
  const program = places.map((place) => join(place, 'mosquitto')).find(isExecutable)
  if (program !== undefined) return program
  throw new Error(
    'Mosquitto was not found on PATH. Install it (Debian: sudo apt-get install mosquitto; macOS: brew install mosquitto), or use --broker embedded.',
  )
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function mosquittoConf(host: string, mqttPort: number, wsPort?: number): string {
  const webSocket = wsPort === undefined ? [] : [`listener ${wsPort} ${host}`, 'protocol websockets']
  return [
    'per_listener_settings false',
    `listener ${mqttPort} ${host}`,
    ...webSocket,
    'allow_anonymous true',
    'set_tcp_nodelay true',
    // 0 means no limit except the client's Receive Maximum. Mosquitto's default of 20 would slow the connector down.
    'max_inflight_messages 0',
    'max_queued_messages 100000',
    'max_queued_bytes 268435456',
    'max_packet_size 67108864',
    'log_dest stderr',
    '',
  ].join('\n')
}

async function run(
  program: string,
  conf: string,
  url: string,
): Promise<{ broker: Broker; lastWords?: never } | { broker?: never; lastWords: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'inferwire-mosquitto-'))
  const file = join(folder, 'mosquitto.conf')
  writeFileSync(file, conf)
  const child = spawn(program, ['-c', file], { stdio: ['ignore', 'pipe', 'pipe'] })
  const lastWords = collectLastWords(child)
  const gone = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
    // If the program could not be started, `close` may never be emitted.
    child.once('error', () => resolve())
  })
  let isGone = false
  void gone.then(() => (isGone = true))
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true })
  // Mosquitto must not outlive this process.
  const atExit = (): void => {
    child.kill('SIGKILL')
    removeFolder()
  }
  process.once('exit', atExit)
  const close = async (): Promise<void> => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), TERM_TIMEOUT_MS)
    await gone
    clearTimeout(timer)
    process.off('exit', atExit)
    removeFolder()
  }
  const until = performance.now() + START_TIMEOUT_MS
  while (!isGone && performance.now() < until) {
    const answers = await answersConnect(url, 500).then(
      () => true,
      () => false,
    )
    if (answers && !isGone) return { broker: { kind: 'mosquitto', url, close } }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  await close()
  return { lastWords: lastWords() }
}

function collectLastWords(child: ChildProcess): () => string {
  let text = ''
  const keep = (words: string): void => {
    text = (text + words).slice(-LAST_WORDS_MAX)
  }
  child.stdout?.setEncoding('utf8').on('data', keep)
  child.stderr?.setEncoding('utf8').on('data', keep)
  child.on('error', (error) => keep(`${error.message}\n`))
  return () => text
}

// This function chooses a free port, because Mosquitto does not treat port 0 as "any free port".
async function freePort(port: number, host: string, option: string): Promise<number> {
  const server = createServer()
  const found = await listenOrExplain(server, port, host, option)
  await new Promise((resolve) => server.close(resolve))
  return found
}
