// The processes that a run kills: the broker and the connector. Each restarts with the same data, port and name.
import { spawnSync } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import type { ConfigInput } from '@inferwire/connector'
import { startMosquitto, type Mosquitto } from '../fixtures/mosquitto.ts'
import { ConnectorProcess } from '../rig/connector-process.ts'
import { CLIENT_HEADER, MODELS } from './request-shape.ts'

/** Name of the connector in its status topic. */
export const CONNECTOR_NAME = 'chaos'

/** How long an unanswered request may delay the PUBACKs of later requests, in milliseconds: the connector's default. */
export const ACK_HOLD_MAX_MS = 2000

// `delayMaxMs` is so long that, at a run's request rate, most calls contain several requests.
const BATCHING = { sizeMax: 8, delayMaxMs: 20 }

const PLANTED = new URL('planted/register.mjs', import.meta.url).href

/**
 * Mosquitto saves after every change, which is the safest setting in Mosquitto 2.0. Even so, a kill can lose
 * acknowledged messages.
 */
export const BROKER_SETTINGS: readonly string[] = [
  'persistence true',
  'autosave_on_changes true',
  'autosave_interval 1',
  'max_queued_messages 0',
  'max_queued_bytes 0',
  // Mosquitto rewrites its whole database for nearly every packet, so a large database makes it very slow.
  'max_inflight_messages 300',
]

/** Starts Mosquitto with BROKER_SETTINGS. */
export function startBroker(): Promise<Mosquitto> {
  return startMosquitto({
    isInMemory: true,
    config: [...BROKER_SETTINGS.slice(1), 'log_type error', 'log_type warning'],
  })
}

/** Returns the version of the running broker, such as `mosquitto version 2.0.11`. Linux only. */
export function versionOf(broker: Mosquitto): string {
  const { stdout } = spawnSync(readlinkSync(`/proc/${broker.pid}/exe`), ['-h'], { encoding: 'utf8' })
  return /^mosquitto version \S+/m.exec(stdout)?.[0] ?? 'mosquitto of an unknown version'
}

/** Options of the connector's process. */
export interface ConnectorOptions {
  /** Name of a planted bug. @default none */
  readonly plant?: string | undefined
  /** Whether the connector looks for poison after a crash: if so, redelivered requests run one by one. */
  readonly looksForPoison: boolean
}

/**
 * Prepares a process of the built connector, with the run's models and an optional planted bug, but does not start it.
 */
export function createConnector(
  brokerUrl: string,
  upstreamPort: number,
  { plant, looksForPoison }: ConnectorOptions,
): Promise<ConnectorProcess> {
  const planted = { nodeArguments: ['--import', PLANTED], env: { CHAOS_PLANT: plant ?? '' } }
  return ConnectorProcess.create(
    configOf(brokerUrl, upstreamPort, { enabled: looksForPoison }),
    plant === undefined ? {} : planted,
  )
}

function configOf(brokerUrl: string, upstreamPort: number, poison: ConfigInput['poison']): ConfigInput {
  return {
    name: CONNECTOR_NAME,
    broker: {
      url: brokerUrl,
      // The keep-alive is short, so that some freezes outlast it.
      keepAliveSeconds: 2,
      connectTimeoutMs: 3000,
      sessionExpirySeconds: 3600,
      reconnect: { minMs: 50, maxMs: 500 },
    },
    models: Object.fromEntries(
      MODELS.map(({ name, protocol, kind }) => [
        name,
        {
          url: `http://127.0.0.1:${upstreamPort}`,
          protocolVersion: protocol,
          // Longer than any outage, and longer than a restarted connector needs to run suspects one by one.
          timeoutMs: 12_000,
          // With batching, requests with different headers would not share a call.
          ...(kind === 'batch' ? { batching: BATCHING } : { passHeaders: [CLIENT_HEADER] }),
        },
      ]),
    ),
    poison,
    admin: { enabled: false },
  }
}
