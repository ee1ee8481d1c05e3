// Declares `inferwire dev`.
import { Command, InvalidArgumentError } from 'commander'
import { parsePort } from '../broker-flags.ts'
import { setExamples } from '../examples.ts'
import { VERSION } from '../version.ts'

interface DevModel {
  readonly name: string
  readonly file: string
}

interface DevFlags {
  readonly mqttPort: number
  readonly wsPort: number
  readonly httpPort: number
  readonly grpcPort: number
  readonly adminPort: number
  readonly broker: string
  readonly users?: string
  readonly model?: readonly DevModel[]
}

/** Builds the command. */
export function devCommand(): Command {
  const command = new Command('dev')
    .summary('run everything in one process, for evaluation')
    .description(
      'Run everything in one process: an MQTT broker, a model server with example models, and the connector.\n' +
        'It listens on 127.0.0.1 only. Without --users, no login is required. NOT FOR PRODUCTION.',
    )
    .option(
      '--model <NAME=FILE>',
      'serve your own model, an .onnx or .gguf file; repeatable. GGUF needs the package node-llama-cpp',
      collectModel,
    )
    .option(
      '--users <FILE>',
      'require a login by a user in this Mosquitto password file; see inferwire passwd (embedded broker only)',
    )
    .option(
      '--broker <KIND>',
      'embedded, mosquitto (from PATH), or the URL of a running broker',
      parseBroker,
      'embedded',
    )
    .optionsGroup('Ports:')
    .option('--mqtt-port <PORT>', 'MQTT port of the broker; 0 = any free port', parsePort, 1883)
    .option('--ws-port <PORT>', 'WebSocket port of the broker; 0 = any free port', parsePort, 9001)
    .option('--http-port <PORT>', 'port of the model server; 0 = any free port', parsePort, 8080)
    .option('--grpc-port <PORT>', 'gRPC port of the model server; 0 = any free port', parsePort, 0)
    .option('--admin-port <PORT>', 'port of /readyz and /metrics; 0 = any free port', parsePort, 8383)
    .action(async (flags: DevFlags) => {
      const { runDev } = await loadStack()
      const { mqttPort, wsPort, httpPort, grpcPort, adminPort, broker, users, model: models = [] } = flags
      try {
        process.exitCode = await runDev({
          mqttPort,
          wsPort,
          httpPort,
          grpcPort,
          adminPort,
          broker,
          users,
          models,
        })
      } catch (error) {
        const { startFailure } = await import('../dev/start-failure.ts')
        throw startFailure(error)
      }
    })
  return setExamples(command, [
    ['inferwire dev', 'start everything and make one prediction'],
    ['inferwire dev --model defects=./defects.onnx', 'also serve your own model'],
    ['inferwire dev --users credentials.txt', 'require a login, and restrict each user to its own topics'],
    ['inferwire dev --mqtt-port 0 --ws-port 0 --http-port 0 --admin-port 0', 'use any free ports'],
  ])
}

const importStack = () => import('@inferwire/dev')

// The package is installed in a checkout, and in projects that depend on it.
async function loadStack(): ReturnType<typeof importStack> {
  const { checkStackVersion, fetchStack, isStackMissing } = await import('../dev/fetch-stack.ts')
  try {
    const stack = await importStack()
    checkStackVersion(stack.VERSION, VERSION)
    return stack
  } catch (error) {
    if (!isStackMissing(error)) throw error
    return (await fetchStack({ version: VERSION })) as Awaited<ReturnType<typeof importStack>>
  }
}

function parseBroker(text: string): string {
  if (['embedded', 'mosquitto'].includes(text) || /^(?:mqtt|ws)s?:\/\//.test(text)) return text
  throw new InvalidArgumentError('Expected embedded, mosquitto, or a URL such as mqtt://127.0.0.1:1883.')
}

/** Parses `NAME=FILE` and appends it to the models given before. */
function collectModel(text: string, before: readonly DevModel[] | undefined): DevModel[] {
  const [, name, file] = /^([^=]+)=(.+)$/.exec(text) ?? []
  if (name === undefined || file === undefined) {
    throw new InvalidArgumentError('Expected NAME=FILE, for example defects=./defects.onnx.')
  }
  return [...(before ?? []), { name, file }]
}
