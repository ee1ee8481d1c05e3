// A healthy system for the doctor: a secured Mosquitto, a connector and a model server, each of which a test can spoil.
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConfigInput } from '@inferwire/connector'
import { aclText } from '@inferwire/mosquitto'
import { diagnose } from 'inferwire'
import { runConnector, type TestConnector } from '../fixtures/connector.ts'
import { startMosquitto, type Mosquitto, type MosquittoOptions } from '../fixtures/mosquitto.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { FakeModelServer } from '../rig/model-server.ts'

/** Passwords by user name, which no output may contain. */
export const CANARIES = {
  inferwire: 'canary-of-the-connector',
  ann: 'canary-of-ann',
  bridge: 'canary-of-the-bridge',
} as const

/** The access rules that Inferwire generates. */
export const ACL = aclText({ root: 'infer' })

type DoctorFlags = Parameters<typeof diagnose>[0]

/** What a test changes in the healthy system. */
export interface WorldOptions {
  readonly broker?: Omit<MosquittoOptions, 'users'>
  /** Further options of the connector; false starts no connector. */
  readonly connector?: ConfigInput | false
}

/** A running system. */
export interface World {
  readonly broker: Mosquitto
  readonly connector: TestConnector | undefined
  readonly upstream: FakeModelServer
  readonly folder: string
  /** The connector's configuration, as `inferwire doctor` reads it. */
  readonly config: ConfigInput
  stop(): Promise<void>
}

/** Starts a system. */
export async function startWorld({ broker: options = {}, connector }: WorldOptions = {}): Promise<World> {
  const folder = tempFolder('doctor')
  const upstream = await FakeModelServer.start()
  const broker = await startMosquitto({ acl: ACL, users: CANARIES, ...options })
  const config: ConfigInput = {
    broker: { url: broker.url, username: 'inferwire', passwordFile: passwordFile(folder, 'inferwire') },
    models: { iris: { url: upstream.url, protocolVersion: 'v2' } },
  }
  const running = connector === false ? undefined : await runConnector({ ...config, ...connector })
  return {
    broker,
    connector: running,
    upstream,
    folder,
    config,
    stop: async () => {
      await running?.connector.stop()
      await Promise.all([broker.stop(), upstream.stop()])
    },
  }
}

/** Writes a user's password to a file. */
export function passwordFile(folder: string, user: 'inferwire' | 'ann'): string {
  const path = join(folder, `password-${user}`)
  writeFileSync(path, CANARIES[user], { mode: 0o600 })
  chmodSync(path, 0o600)
  return path
}

/** The outcome of one run. */
export interface DoctorRun {
  readonly results: Awaited<ReturnType<typeof diagnose>>
  /** Ids of the checks with a fault, in order. */
  readonly faults: readonly string[]
  /** Ids of the checks with a warning, in order. */
  readonly warnings: readonly string[]
}

/** Runs the checks in this process with a configuration, as the client ann. */
export async function runDoctor(
  folder: string,
  config: object,
  more: Partial<DoctorFlags> = {},
): Promise<DoctorRun> {
  const flags = {
    config: configFile(folder, config),
    mqttVersion: 5 as const,
    timeout: 8,
    ...login(folder),
    ...more,
  }
  const results = await diagnose(flags, {})
  const withState = (state: string): string[] =>
    results.filter((result) => result.state === state).map(({ id }) => id)
  return { results, faults: withState('fault'), warnings: withState('warning') }
}

/** Writes a configuration to a new file. */
export function configFile(folder: string, config: object): string {
  const file = join(folder, `doctor-${(files += 1)}.json`)
  writeFileSync(file, JSON.stringify(config))
  return file
}

let files = 0

/** The options of a client's login. */
function login(folder: string): { readonly username: string; readonly passwordFile: string } {
  return { username: 'ann', passwordFile: passwordFile(folder, 'ann') }
}
