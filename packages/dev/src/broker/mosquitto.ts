// A Mosquitto that is installed on this machine, run in a temporary folder.
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { answersConnect } from './external.ts'
import type { Broker, BrokerOptions } from './index.ts'
import { explainPort } from './port-taken.ts'

// Debian puts servers where the PATH of a user does not look.
const PLACES = [
  ...(process.env['PATH'] ?? '').split(':'),
  '/usr/sbin',
  '/usr/local/sbin',
  '/opt/homebrew/sbin',
]
const START_TIMEOUT_MS = 5_000

/** @throws Error that says how to get Mosquitto, or its last words when it does not start. */
export async function startMosquittoBroker(options: BrokerOptions): Promise<Broker> {
  const program = PLACES.map((place) => join(place, 'mosquitto')).find((path) => existsSync(path))
  if (program === undefined) {
    throw new Error(
      'Mosquitto was not found on PATH. Install it (Debian: sudo apt-get install mosquitto; macOS: brew install mosquitto), or use --broker embedded.',
    )
  }
  const { host } = options
  const mqttPort = await explainPort(options.mqttPort, '--mqtt-port', () => freePort(options.mqttPort, host))
  const wsPort = await explainPort(options.wsPort, '--ws-port', () => freePort(options.wsPort, host))
  const folder = mkdtempSync(join(tmpdir(), 'inferwire-mosquitto-'))
  writeFileSync(join(folder, 'mosquitto.conf'), configText(host, mqttPort, wsPort))
  const child = spawn(program, ['-c', join(folder, 'mosquitto.conf')], { stdio: ['ignore', 'pipe', 'pipe'] })
  const words = lastWords(child)
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      await gone
    }
    rmSync(folder, { recursive: true, force: true })
  }
  const url = `mqtt://${host}:${mqttPort}`
  const until = Date.now() + START_TIMEOUT_MS
  while (child.exitCode === null && Date.now() < until) {
    if (
      await answersConnect(url, 500).then(
        () => true,
        () => false,
      )
    ) {
      return { kind: 'mosquitto', url, wsUrl: `ws://${host}:${wsPort}`, close }
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await close()
  throw new Error(`Mosquitto (${program}) did not start:\n${words()}`)
}

function configText(host: string, mqttPort: number, wsPort: number): string {
  return [
    `listener ${mqttPort} ${host}`,
    `listener ${wsPort} ${host}`,
    'protocol websockets',
    'allow_anonymous true',
    'set_tcp_nodelay true',
    'max_inflight_messages 1000',
    'max_queued_messages 100000',
    'log_dest stderr',
    '',
  ].join('\n')
}

// A port of 0 in mosquitto.conf is not "any free one", so it is found here.
function freePort(port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(port, host, () => {
      const found = (server.address() as AddressInfo).port
      server.close(() => resolve(found))
    })
  })
}

function lastWords(child: ChildProcess): () => string {
  let text = ''
  const keep = (chunk: Buffer): void => {
    text = (text + chunk.toString('utf8')).slice(-2_000)
  }
  child.stdout?.on('data', keep)
  child.stderr?.on('data', keep)
  return () => text
}
