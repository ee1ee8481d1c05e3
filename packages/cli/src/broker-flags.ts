// The options of every command that talks to a broker, in the letters of mosquitto's own tools.
import { readFileSync, statSync } from 'node:fs'
import { isCleanLevel, TopicSpace } from '@inferwire/protocol'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { CliError, usageError } from './cli-error.ts'
import { EXIT } from './exit-code.ts'
import { utf8Text } from './text-file.ts'

/** What commander collects from `addBrokerFlags`. */
export interface BrokerFlags {
  readonly host?: string
  readonly port?: number
  readonly broker?: string
  readonly username?: string
  readonly password?: string
  readonly passwordFile?: string
  readonly cafile?: string
  readonly mqttVersion: 5 | '3.1.1'
  readonly timeout: number
  readonly root?: string
  readonly client?: string
}

/** Where to connect, and as whom. */
export interface BrokerTarget {
  /** Without user name and password. */
  readonly url: URL
  readonly username: string | undefined
  readonly password: string | undefined
  /** Where the password came from, for commands that are shown to be pasted. */
  readonly passwordFile: string | undefined
  /** PEM file with the certificate authorities to trust instead of the system's. */
  readonly caFile: string | undefined
  /** The client level of the topics. */
  readonly identity: string
  readonly topics: TopicSpace
  /** 4 = MQTT 3.1.1. */
  readonly mqttVersion: 5 | '3.1.1'
  readonly timeoutMs: number
}

/** The environment that the broker options fall back to; the same names as the connector's. */
export const BROKER_ENV = {
  url: 'INFERWIRE_BROKER_URL',
  username: 'INFERWIRE_BROKER_USERNAME',
  password: 'INFERWIRE_BROKER_PASSWORD',
  passwordFile: 'INFERWIRE_BROKER_PASSWORD_FILE',
  caFile: 'INFERWIRE_BROKER_TLS_CA_FILE',
  root: 'INFERWIRE_ROOT',
} as const

const DEFAULT_HOST = '127.0.0.1'
// As many bytes as MQTT carries, a byte order mark and a line break.
const PASSWORD_FILE_BYTES_MAX = 65_535 + 5
const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  'mqtt:': 1883,
  'mqtts:': 8883,
  'ws:': 80,
  'wss:': 443,
}

/** Adds the broker options to a command. `-h` alone is help, with a value it is the host. */
export function addBrokerFlags(command: Command): Command {
  // While parsing, so that help comes before a missing argument is complained about.
  command.on('option:host', (value: string | null) => {
    if (value === null) command.help()
  })
  return command
    .helpOption('--help', 'show this help (also a bare -h)')
    .option('-h, --host [HOST]', `broker host (default: ${DEFAULT_HOST})`)
    .option('-p, --port <PORT>', 'broker port (default: 1883; 8883 speaks TLS)', parsePort)
    .option('--broker <URL>', `broker as a URL: mqtt, mqtts, ws or wss (env: ${BROKER_ENV.url})`)
    .option('-u, --username <USER>', `user name (env: ${BROKER_ENV.username})`)
    .option('-P, --password <PASSWORD>', 'password; others can see it in the list of processes')
    .option('--password-file <FILE>', `file that holds the password (env: ${BROKER_ENV.passwordFile})`)
    .option('--cafile <FILE>', `certificate authorities to trust, PEM (env: ${BROKER_ENV.caFile})`)
    .addOption(
      new Option('-V, --mqtt-version <VERSION>', 'MQTT version: 5 or 3.1.1')
        .argParser(parseVersion)
        .default(5, '5'),
    )
    .option('-t, --timeout <SECONDS>', 'how long to wait for the answer', parseSeconds, 10)
    .option('--root <TOPIC>', `first level of the topics (env: ${BROKER_ENV.root}; default: infer)`)
    .option('--client <NAME>', 'client level of the topics (default: the user name, else cli)')
}

/** Option parser: a TCP port. */
export function parsePort(text: string): number {
  const port = Number(text)
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port
  throw new InvalidArgumentError('Expected a port from 0 to 65535.')
}

/** Resolves flags and environment to one target. @throws CliError when they contradict each other */
export function brokerTarget(flags: BrokerFlags, env: NodeJS.ProcessEnv): BrokerTarget {
  const url = brokerUrl(flags, env)
  const fromUrl = {
    username: decoded(url.username, 'user name'),
    password: decoded(url.password, 'password'),
  }
  url.username = ''
  url.password = ''
  const username = flags.username ?? (fromUrl.username || env[BROKER_ENV.username])
  const passwordFile = flags.passwordFile ?? env[BROKER_ENV.passwordFile]
  if (flags.password !== undefined && flags.passwordFile !== undefined) {
    throw usageError('-P and --password-file were given together', 'Give the password once.')
  }
  const password =
    flags.password ??
    (fromUrl.password ||
      (passwordFile === undefined ? env[BROKER_ENV.password] : readPasswordFile(passwordFile)))
  if (password !== undefined && username === undefined) {
    throw usageError('a password was given without a user name', 'Add -u USER.')
  }
  return {
    url,
    username,
    password,
    passwordFile: flags.password === undefined && !fromUrl.password ? passwordFile : undefined,
    caFile: caFileFor(url, flags, env),
    identity: identityOf(flags.client ?? username ?? 'cli'),
    topics: topicSpace(flags.root ?? env[BROKER_ENV.root] ?? 'infer'),
    mqttVersion: flags.mqttVersion,
    timeoutMs: flags.timeout * 1_000,
  }
}

/** Port of a broker's URL, the scheme's own where it names none. */
export function portOf(url: URL): number {
  return url.port === '' ? DEFAULT_PORTS[url.protocol]! : Number(url.port)
}

/** The topics below a root. @throws CliError when it is not a topic name */
export function topicSpace(root: string): TopicSpace {
  try {
    return new TopicSpace(root)
  } catch (error) {
    throw usageError((error as Error).message, 'Correct --root; the default is infer.')
  }
}

function brokerUrl(flags: BrokerFlags, env: NodeJS.ProcessEnv): URL {
  const { host } = flags
  const isPlace = host !== undefined || flags.port !== undefined
  if (flags.broker !== undefined && isPlace) {
    throw usageError('--broker and -h/-p were given together', 'Say where the broker is once.')
  }
  const text = flags.broker ?? (isPlace ? undefined : env[BROKER_ENV.url])
  if (text === undefined) return placeUrl(host ?? DEFAULT_HOST, flags.port ?? 1883)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !Object.hasOwn(DEFAULT_PORTS, url.protocol) || url.hostname === '') {
    // The text is not repeated: it may hold a password.
    throw usageError(
      'the broker URL is not valid',
      'Use a URL such as mqtt://127.0.0.1:1883 (mqtt, mqtts, ws or wss).',
    )
  }
  if (hasMore(url)) {
    throw usageError(
      'the broker URL goes on after host and port',
      'Leave that out; in a user name or password write / as %2F, ? as %3F and # as %23.',
    )
  }
  return url
}

// Where a password has a bare slash, the text in front of it was taken for host and port. Only WebSocket has paths. The
// SDK refuses such a URL too, but `infer --show` does not connect.
function hasMore({ protocol, pathname, search, hash }: URL): boolean {
  if (hash !== '') return true
  return protocol.startsWith('mqtt') && `${pathname}${search}`.replace('/', '') !== ''
}

// The text is not repeated: it may be a password.
function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw usageError(
      `the ${what} in the broker URL is not valid percent-encoding`,
      'Write % as %25, or give it with -u and --password-file.',
    )
  }
}

function placeUrl(host: string, port: number): URL {
  const scheme = port === 8883 ? 'mqtts' : 'mqtt'
  const text = `${scheme}://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.hostname === '' || url.username !== '' || hasMore(url)) {
    throw usageError(
      `"${host}" is not a host`,
      'Give a name or an address with -h, or a whole URL with --broker.',
    )
  }
  return url
}

// The environment may hold one for another broker; only an option that cannot work is a mistake.
function caFileFor(url: URL, flags: BrokerFlags, env: NodeJS.ProcessEnv): string | undefined {
  if (url.protocol === 'mqtts:' || url.protocol === 'wss:') return flags.cafile ?? env[BROKER_ENV.caFile]
  if (flags.cafile === undefined) return undefined
  throw usageError('--cafile needs TLS', 'Use -p 8883, or --broker with mqtts:// or wss://.')
}

function identityOf(name: string): string {
  if (isCleanLevel(name)) return name
  throw usageError(
    `"${name}" cannot be the client level of a topic`,
    'Use --client NAME without "/", "+", "#" and control characters.',
  )
}

function readPasswordFile(file: string): string {
  let bytes: Buffer
  try {
    if (statSync(file).size > PASSWORD_FILE_BYTES_MAX) throw largePassword(file)
    bytes = readFileSync(file)
  } catch (error) {
    if (error instanceof CliError) throw error
    throw new CliError(
      EXIT.missingFile,
      `password file "${file}" cannot be read: ${(error as Error).message}`,
      'Check the path given with --password-file.',
      { cause: error },
    )
  }
  // One line break at the end belongs to the editor, not to the password.
  return utf8Text(bytes, `password file "${file}"`).replace(/\r?\n$/, '')
}

function largePassword(file: string): CliError {
  return new CliError(
    EXIT.badInput,
    `password file "${file}" is larger than the longest password that MQTT carries`,
    'Check the path given with --password-file.',
  )
}

// Also in the spelling of mosquitto_sub.
function parseVersion(text: string): 5 | '3.1.1' {
  if (['5', 'mqttv5'].includes(text)) return 5
  if (['3.1.1', '311', 'mqttv311'].includes(text)) return '3.1.1'
  throw new InvalidArgumentError('Expected 5 or 3.1.1.')
}

function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (/^\d{1,6}(?:\.\d{1,3})?$/.test(text) && seconds > 0 && seconds <= 86_400) return seconds
  throw new InvalidArgumentError('Expected seconds above 0, at most 86400.')
}
