// Runs `inferwire dev`: starts everything, makes one prediction over MQTT, and waits for Ctrl-C.
import { connect } from '@inferwire/client'
import { VERSION } from '@inferwire/connector'
import { bundledModels } from '@inferwire/model-server'
import { isPlainUserName } from '@inferwire/mosquitto'
import { startStack, type DevOptions, type DevStack } from './stack.ts'

// The example request that is sent and printed.
const MODEL = 'iris'
const EXAMPLE = '{"instances":[[6.8,2.8,4.8,1.4],[6.0,3.4,4.5,1.6]]}'

const CHAT_MODEL = 'toy-chat'
const CHAT = '{"model":"toy-chat","messages":[{"role":"user","content":"Who is the Cat?"}],"stream":true}'

/**
 * Resolves with the exit code after a stop signal. @throws Error that names the component that failed, and the remedy
 */
export async function runDev(options: DevOptions): Promise<number> {
  const stopped = stopSignal()
  const startedAtMs = performance.now()
  const stack = await startStack(options)
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1)
  print(summary(stack, seconds))
  print(await demonstrate(stack))
  print('Ctrl-C stops.')
  await stopped
  await stack.close()
  return 0
}

function summary(stack: DevStack, seconds: string): string {
  const rows = [
    ['MQTT', stack.broker.url, stack.broker.kind],
    ...(stack.broker.wsUrl === undefined ? [] : [['WebSocket', stack.broker.wsUrl, '']]),
    ['Models', stack.modelServer.url, stack.modelServer.models.join(', ')],
    ['gRPC', stack.modelServer.grpcUrl!, stack.modelServer.tensorModels.join(', ')],
    ['Admin', stack.adminUrl, '/readyz /metrics'],
  ]
  const width = Math.max(...rows.map(([, url]) => url!.length))
  const login = stack.logins === undefined ? 'no login' : `login for ${usersOf(stack.logins.users)}`
  return [
    `Inferwire ${VERSION} is ready after ${seconds} s. Development mode: ${login}, loopback only, not for production.`,
    '',
    ...rows.map(([name, url, note]) => `  ${name!.padEnd(11)}${url!.padEnd(width + 2)}${note!}`.trimEnd()),
    '',
  ].join('\n')
}

async function demonstrate(stack: DevStack): Promise<string> {
  const { logins } = stack
  const client = await connect(stack.broker.url, { identity: 'demo', ...logins?.demo })
  try {
    const reply = await client.infer(MODEL, EXAMPLE, { operation: 'predict', timeoutMs: 10_000 })
    const url = new URL(stack.broker.url)
    const user = logins?.users.find((name) => isPlainUserName(name))
    const [me, login] = user === undefined ? ['me', ''] : [user, ` -u ${user} -P PASSWORD`]
    const broker = `-h ${url.hostname} -p ${url.port} -V 5 -q 1${login}`
    return [
      'One request went through MQTT:',
      `  > infer/request/demo/${MODEL}/predict  ${EXAMPLE}`,
      `  < infer/reply/demo/${MODEL}/predict    ${reply.text()}    (status ${reply.status}, ${reply.durationMs.toFixed(1)} ms)`,
      ...meaning(reply.json()),
      '',
      'To send the same request from another terminal:',
      `  mosquitto_rr ${broker} -t infer/request/${me}/${MODEL}/predict -e infer/reply/${me}/${MODEL}/predict -m '${EXAMPLE}'`,
      '',
      'To chat with a toy language model, use Inferwire, or any MQTT client in two terminals:',
      `  npx inferwire chat ${CHAT_MODEL}${url.port === '1883' ? '' : ` -p ${url.port}`}${login}`,
      `  mosquitto_sub ${broker} -t 'infer/reply/${me}/${CHAT_MODEL}/#'`,
      `  mosquitto_pub ${broker} -t infer/request/${me}/${CHAT_MODEL}/chat -m '${CHAT}'`,
      '',
    ].join('\n')
  } finally {
    await client.close()
  }
}

function usersOf(names: readonly string[]): string {
  return names.length === 1 ? '1 user' : `${names.length} users`
}

// Prints the names of the predicted classes.
function meaning(body: unknown): string[] {
  const labels = bundledModels().find(({ name }) => name === MODEL)?.labels
  const { predictions } = body as { predictions?: unknown }
  if (labels === undefined || !Array.isArray(predictions)) return []
  return [`    that is: ${predictions.map((index: unknown) => labels[Number(index)] ?? '?').join(', ')}`]
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
  })
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
