// The options that all commands with a broker connection share; their letters are the same as in mosquitto_pub.
import { readFileSync, statSync } from 'node:fs'
import { isCleanLevel, TopicSpace } from '@inferwire/protocol'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { CliError, usageError } from './cli-error.ts'
import { EXIT } from './exit-code.ts'
import { utf8Text } from './text-file.ts'

/** The values of the options that `addBrokerFlags` adds. */
export interface BrokerFlags {
  readonly host?: string
  readonly port?: number
  readonly broker?: string
  readonly username?: string
  readonly password?: string
  readonly passwordFile?: string
  readonly cafile?: string
  readonly mqttVersion: 5 | '3.1.1'
  readonly timeout?: number
  readonly root?: string
  readonly client?: string
}

/** The resolved broker, login and topics. */
export interface BrokerTarget {
  /** Broker URL, without the user name and the password. */
  readonly url: URL
  /** The environment variable that contains the URL, if no option sets it. */
  readonly urlVariable: string | undefined
  readonly username: string | undefined
  readonly password: string | undefined
  /** The file from which the password was read, for the commands that `--show` prints. */
  readonly passwordFile: string | undefined
  /** PEM file with the certificate authorities to trust instead of the system's. */
  readonly caFile: string | undefined
  /** The client level of topics. */
  readonly identity: string
  readonly topics: TopicSpace
  readonly mqttVersion: 5 | '3.1.1'
  readonly timeoutMs: number
}

/** Environment variables that replace missing broker options; the connector uses the same names. */
export const BROKER_ENV = {
  url: 'INFERWIRE_BROKER_URL',
  username: 'INFERWIRE_BROKER_USERNAME',
  password: 'INFERWIRE_BROKER_PASSWORD',
  passwordFile: 'INFERWIRE_BROKER_PASSWORD_FILE',
  caFile: 'INFERWIRE_BROKER_TLS_CA_FILE',
  root: 'INFERWIRE_ROOT',
} as const

const DEFAULT_HOST = '127.0.0.1'
// The longest password in MQTT, plus a byte order mark and a line break.
const PASSWORD_FILE_BYTES_MAX = 65_535 + 5
const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  'mqtt:': 1883,
  'mqtts:': 8883,
  'ws:': 80,
  'wss:': 443,
}

/** The help text of -t for one command. */
export interface TimeoutFlag {
  readonly meaning: string
  /** The default, as the help shows it. */
  readonly shown: string
}

/** The default of -t, in seconds, unless a command has its own. */
export const TIMEOUT_DEFAULT_SECONDS = 10
const TIMEOUT_FLAG: TimeoutFlag = { meaning: 'how long to wait', shown: String(TIMEOUT_DEFAULT_SECONDS) }

/** Adds the broker options to a command. `-h` alone shows the help; with a value it sets the host. */
export function addBrokerFlags(command: Command, { meaning, shown } = TIMEOUT_FLAG): Command {
  // `-h` is handled while parsing, so that the help is shown instead of an error about a missing argument.
  command.on('option:host', (value: string | null) => {
    if (value === null) command.help()
  })
  return command
    .helpOption('--help', 'show this help; so does -h without a value')
    .option('-t, --timeout <SECONDS>', `${meaning} (default: ${shown})`, parseSeconds)
    .optionsGroup('Broker:')
    .option('-h, --host [HOST]', `broker host (default: ${DEFAULT_HOST})`)
    .option('-p, --port <PORT>', 'broker port; 8883 uses TLS (default: 1883)', parsePort)
    .option('--broker <URL>', `broker URL: mqtt, mqtts, ws or wss (env: ${BROKER_ENV.url})`)
    .option('-u, --username <USER>', `user name (env: ${BROKER_ENV.username})`)
    .option('-P, --password <PASSWORD>', 'password; visible to other users in the process list')
    .option('--password-file <FILE>', `file with the password (env: ${BROKER_ENV.passwordFile})`)
    .option('--cafile <FILE>', `certificate authorities to trust, PEM (env: ${BROKER_ENV.caFile})`)
    .addOption(
      new Option('-V, --mqtt-version <VERSION>', 'MQTT version: 5 or 3.1.1')
        .argParser(parseVersion)
        .default(5, '5'),
    )
    .option('--root <TOPIC>', `first level of the topics (env: ${BROKER_ENV.root}; default: infer)`)
    .option('--client <NAME>', 'client level of the topics (default: the user name, else cli)')
}

/** Parses a TCP port; 0 is allowed. */
export function parsePort(text: string): number {
  const port = Number(text)
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port
  throw new InvalidArgumentError('Expected a port from 0 to 65535.')
}

/**
 * Determines the broker from options and environment. `timeoutSeconds` applies if -t is not given.
 * @throws CliError if options contradict each other, or if a value is not valid
 */
export function brokerTarget(
  flags: BrokerFlags,
  env: NodeJS.ProcessEnv,
  timeoutSeconds = TIMEOUT_DEFAULT_SECONDS,
): BrokerTarget {
  const { url, variable: urlVariable } = brokerUrl(flags, env)
  const fromUrl = {
    username: decoded(url.username, 'user name'),
    password: decoded(url.password, 'password'),
  }
  url.username = ''
  url.password = ''
  const username = flags.username ?? (fromUrl.username || env[BROKER_ENV.username])
  const passwordFile = flags.passwordFile ?? env[BROKER_ENV.passwordFile]
  if (flags.password !== undefined && flags.passwordFile !== undefined) {
    throw usageError('-P and --password-file were given together', 'Use only one of them.')
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
    urlVariable,
    username,
    password,
    passwordFile: flags.password === undefined && !fromUrl.password ? passwordFile : undefined,
    caFile: caFileFor(url, flags, env),
    identity: identityOf(flags.client ?? username ?? 'cli'),
    topics: topicSpace(flags.root ?? env[BROKER_ENV.root] ?? 'infer'),
    mqttVersion: flags.mqttVersion,
    timeoutMs: (flags.timeout ?? timeoutSeconds) * 1_000,
  }
}

/** Returns the port of a broker URL, or the scheme's default port. */
export function portOf(url: URL): number {
  return url.port === '' ? DEFAULT_PORTS[url.protocol]! : Number(url.port)
}

/** Returns the topics below a root. @throws CliError if the root is not a topic name */
export function topicSpace(root: string): TopicSpace {
  try {
    return new TopicSpace(root)
  } catch (error) {
    throw usageError((error as Error).message, 'Correct --root; the default is infer.')
  }
}

function brokerUrl(
  flags: BrokerFlags,
  env: NodeJS.ProcessEnv,
): { readonly url: URL; readonly variable: string | undefined } {
  const { host } = flags
  const isPlace = host !== undefined || flags.port !== undefined
  if (flags.broker !== undefined && isPlace) {
    throw usageError('--broker and -h/-p were given together', 'Use either the URL or host and port.')
  }
  const text = flags.broker ?? (isPlace ? undefined : env[BROKER_ENV.url])
  if (text === undefined) {
    return { url: placeUrl(host ?? DEFAULT_HOST, flags.port ?? 1883), variable: undefined }
  }
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !Object.hasOwn(DEFAULT_PORTS, url.protocol) || url.hostname === '') {
    // The message does not repeat the text, which may contain a password.
    throw usageError(
      'the broker URL is not valid',
      'Use a URL such as mqtt://127.0.0.1:1883 (mqtt, mqtts, ws or wss).',
    )
  }
  if (hasMore(url)) {
    throw usageError(
      'the broker URL has a path, query or fragment after host and port',
      'Remove it. In a user name or password, write / as %2F, ? as %3F and # as %23.',
    )
  }
  return { url, variable: flags.broker === undefined ? BROKER_ENV.url : undefined }
}

// If a password contains an unencoded slash, the text before it looks like a host and port, and the rest like a path.
// Only WebSocket URLs may have a path. The SDK rejects such a URL too, but `infer --show` does not connect.
function hasMore({ protocol, pathname, search, hash }: URL): boolean {
  if (hash !== '') return true
  return protocol.startsWith('mqtt') && `${pathname}${search}`.replace('/', '') !== ''
}

// The message does not repeat the text, which may be a password.
function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw usageError(
      `the ${what} in the broker URL is not valid percent-encoding`,
      'Write % as %25, or use -u and --password-file.',
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
      'Use -h with a host name or an address, or --broker with a URL.',
    )
  }
  return url
}

// Without TLS, the environment variable is ignored, because it may be meant for another broker; --cafile is an error.
function caFileFor(url: URL, flags: BrokerFlags, env: NodeJS.ProcessEnv): string | undefined {
  if (url.protocol === 'mqtts:' || url.protocol === 'wss:') return flags.cafile ?? env[BROKER_ENV.caFile]
  if (flags.cafile === undefined) return undefined
  throw usageError('--cafile requires TLS', 'Use -p 8883, or --broker with mqtts:// or wss://.')
}

function identityOf(name: string): string {
  if (isCleanLevel(name)) return name
  throw usageError(
    `"${name}" cannot be the client level of a topic`,
    'Use --client NAME without "/", "+", "#" or control characters.',
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
  // Editors add a line break at the end; it is not part of the password.
  return utf8Text(bytes, `password file "${file}"`).replace(/\r?\n$/, '')
}

function largePassword(file: string): CliError {
  return new CliError(
    EXIT.badInput,
    `password file "${file}" is larger than the longest password that MQTT allows`,
    'Check the path given with --password-file.',
  )
}

// Also accepts mosquitto_sub's spellings of the version.
function parseVersion(text: string): 5 | '3.1.1' {
  if (['5', 'mqttv5'].includes(text)) return 5
  if (['3.1.1', '311', 'mqttv311'].includes(text)) return '3.1.1'
  throw new InvalidArgumentError('Expected 5 or 3.1.1.')
}

function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (/^\d{1,6}(?:\.\d{1,3})?$/.test(text) && seconds > 0 && seconds <= 86_400) return seconds
  throw new InvalidArgumentError('Expected a number of seconds above 0 and up to 86400.')
}
