// Starts and stops the components of `inferwire dev`: broker, model server and connector.
import { createLog, loadConfig, startConnector, type Connector } from '@inferwire/connector'
import {
  bundledModels,
  startModelServer,
  toyModel,
  type ModelServer,
  type ModelSource,
} from '@inferwire/model-server'
import {
  explainPort,
  PortTakenError,
  readAccess,
  startBroker,
  type Broker,
  type BrokerLogin,
} from './broker/index.ts'

/** The options of `inferwire dev`. */
export interface DevOptions {
  /** @default 1883; 0 = any free port */
  readonly mqttPort: number
  /** @default 9001; 0 = any free port */
  readonly wsPort: number
  /** Port of the model server. @default 8080; 0 = any free port */
  readonly httpPort: number
  /** Port of the model server's gRPC service. @default 0 = any free port */
  readonly grpcPort?: number
  /** Port of `/readyz` and `/metrics`. @default 8383; 0 = any free port */
  readonly adminPort: number
  /** `embedded`, `mosquitto` (found on PATH), or the URL of a running broker. @default embedded */
  readonly broker: string
  /** Mosquitto password file; makes the embedded broker require a login. @default no login */
  readonly users?: string | undefined
  /** The user's models, in addition to the bundled ones. */
  readonly models: readonly ModelSource[]
}

/** The running components. */
export interface DevStack {
  readonly broker: Broker
  readonly modelServer: ModelServer
  readonly connector: Connector
  readonly adminUrl: string
  /** The password file's users, and a login for an example request; undefined if there is no password file. */
  readonly logins?: { readonly users: readonly string[]; readonly demo: BrokerLogin } | undefined
  /** Stops everything; resolves within a second. */
  close(): Promise<void>
}

// Loopback only: the broker has no TLS, and without a password file it requires no login.
const HOST = '127.0.0.1'

/**
 * Starts everything. @throws PortTakenError that names the option, ModelServerError that names the file, or a broker
 * error
 */
export async function startStack(options: DevOptions): Promise<DevStack> {
  const closers: (() => Promise<unknown>)[] = []
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).toReversed()) await closer()
  }
  try {
    const access = options.users === undefined ? undefined : readAccess(options.users)
    const broker = await startBroker(options.broker, {
      host: HOST,
      mqttPort: options.mqttPort,
      wsPort: options.wsPort,
      access,
      log: (line) => process.stderr.write(`${line}\n`),
    })
    closers.push(() => broker.close())
    const modelServer = await explainPort(options.httpPort, '--http-port', () => startModels(options))
    closers.push(() => modelServer.close())
    const connector = await explainPort(options.adminPort, '--admin-port', () =>
      connect(broker.url, access?.connector, modelServer, options.adminPort),
    )
    closers.push(() => connector.stop())
    await connector.ready
    const logins = access === undefined ? undefined : { users: access.users, demo: access.demo }
    return { broker, modelServer, connector, adminUrl: connector.adminUrl!, logins, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function startModels({ httpPort, grpcPort = 0, models }: DevOptions): Promise<ModelServer> {
  try {
    return await startModelServer({
      host: HOST,
      port: httpPort,
      grpcPort,
      models: [...bundledModels(), ...models],
      languageModels: [toyModel()],
      log: (line) => process.stderr.write(`${line}\n`),
    })
  } catch (error) {
    const isTaken = (error as { code?: unknown }).code === 'grpc_listen_failed' && grpcPort !== 0
    throw isTaken ? new PortTakenError(grpcPort, '--grpc-port') : error
  }
}

function connect(
  brokerUrl: string,
  login: BrokerLogin | undefined,
  modelServer: ModelServer,
  adminPort: number,
): Promise<Connector> {
  const cards = new Map<string, object>(
    bundledModels().map(({ name, description, example }) => [
      name,
      { description, example: { operation: 'predict', body: example } },
    ]),
  )
  const { name: toy, description } = toyModel()
  const messages = [{ role: 'user', content: 'Who is the White Rabbit?' }]
  cards.set(toy, { description, example: { operation: 'chat', body: { model: toy, messages } } })
  const models = Object.fromEntries(
    modelServer.models.map((name) => [name, { url: modelServer.url, ...cards.get(name) }]),
  )
  const config = loadConfig({
    env:
      login === undefined
        ? {}
        : { INFERWIRE_BROKER_USERNAME: login.username, INFERWIRE_BROKER_PASSWORD: login.password },
    flags: {
      name: 'dev',
      broker: { url: brokerUrl },
      models,
      admin: { host: HOST, port: adminPort },
      // The broker stops together with the connector, so a request that crashed the process is not redelivered.
      poison: { enabled: false },
      drain: { timeoutMs: 500 },
    },
  })
  // Only warnings and errors are logged, because the summary that runDev prints contains everything else.
  return startConnector(config, { log: createLog({ level: 'warn', format: 'auto' }) })
}
