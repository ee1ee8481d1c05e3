// The -D option of Mosquitto's tools, which sets MQTT 5 properties of the request.
import { InvalidArgumentError, Option, type Command } from 'commander'
import { usageError } from './cli-error.ts'

/** The properties that -D sets. */
export interface PublishProperties {
  /** User properties by name. */
  readonly headers: Readonly<Record<string, string>>
  readonly contentType: string | undefined
  readonly expirySeconds: number | undefined
}

const LONG = '--property'
// Separates the words of one -D. No command-line argument can contain this character.
const SEPARATOR = '\0'
// The properties that mosquitto_pub accepts for `publish`, each with its number of values.
const VALUES: Readonly<Record<string, number>> = {
  'content-type': 1,
  'correlation-data': 1,
  'message-expiry-interval': 1,
  'payload-format-indicator': 1,
  'response-topic': 1,
  'topic-alias': 1,
  'user-property': 2,
}
const SUPPORTED = 'user-property NAME VALUE, content-type TYPE, message-expiry-interval SECONDS'

/** Adds -D to a command. */
export function addPropertyFlag(command: Command): Command {
  return command.addOption(
    new Option(
      '-D, --property <PROPERTY>',
      `MQTT 5 property, as in mosquitto_pub: publish ${SUPPORTED}`,
    ).argParser((words: string, before: readonly string[] | undefined) => [...(before ?? []), words]),
  )
}

/** Joins the words of each -D into one argument, because Commander does not know how many words belong to it. */
export function joinPropertyWords(command: Command, argv: readonly string[]): readonly string[] {
  const short = command.options.find(({ long }) => long === LONG)?.short
  if (short === undefined) return argv
  const joined: string[] = []
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!
    joined.push(word)
    if (word === '--') return [...joined, ...argv.slice(at + 1)]
    if (word !== short && word !== LONG) continue
    const count = 2 + valueCount(argv[at + 2])
    const words = argv.slice(at + 1, at + 1 + count)
    if (words.length > 0) joined.push(words.join(SEPARATOR))
    at += words.length
  }
  return joined
}

/** Reads the values of -D. @throws CliError for properties that do not exist, or that the command sets itself */
export function publishProperties(values: readonly string[] = []): PublishProperties {
  const headers: Record<string, string> = Object.create(null) as Record<string, string>
  let contentType: string | undefined
  let expirySeconds: number | undefined
  for (const value of values) {
    const [command = '', name = '', ...rest] = value.split(SEPARATOR)
    if (command.toLowerCase() !== 'publish') {
      throw usageError(`-D ${command} is not supported`, `Use -D publish ${SUPPORTED}.`)
    }
    if (name === '' || rest.length < valueCount(name)) {
      throw usageError(`-D publish ${name} lacks a value`.replace('  ', ' '), `Use -D publish ${SUPPORTED}.`)
    }
    if (name === 'user-property') {
      const [header, text] = rest as [string, string]
      if (Object.hasOwn(headers, header)) {
        throw usageError(`user property "${header}" is given twice`, 'Give each name once.')
      }
      headers[header] = text
    } else if (name === 'content-type') contentType = rest[0]
    else if (name === 'message-expiry-interval') expirySeconds = expiry(rest[0]!)
    else throw usageError(...refusal(name))
  }
  return { headers: { ...headers }, contentType, expirySeconds }
}

function valueCount(name = ''): number {
  return Object.hasOwn(VALUES, name) ? VALUES[name]! : 0
}

function refusal(name: string): [message: string, remedy: string] {
  if (name === 'correlation-data' || name === 'response-topic') {
    return [
      `-D publish ${name} cannot be set`,
      'The command sets this property itself, to recognize the reply.',
    ]
  }
  return [`-D publish ${name} is not supported`, `Use -D publish ${SUPPORTED}.`]
}

function expiry(text: string): number {
  const seconds = Number(text)
  if (/^\d{1,6}$/.test(text) && seconds > 0) return seconds
  throw usageError(
    `message-expiry-interval ${text} is not a number of seconds above 0`,
    'Use a number from 1 to 999999.',
  )
}

/** Checks a content type. Rejects only obvious mistakes; the full syntax is in RFC 9110 §8.3.1. */
export function parseContentType(text: string): string {
  if (/^[\w.+*-]+\/[\x20-\x7e]{1,200}$/.test(text)) return text
  throw new InvalidArgumentError('Expected a type such as application/octet-stream.')
}
