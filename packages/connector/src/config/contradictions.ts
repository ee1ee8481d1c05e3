// What a schema of single options cannot see: options that do not go together.
import { DIALECTS, versionedDialects } from '@inferwire/protocol'
import type { z } from 'zod'
import { withTls } from './address.ts'
import type { ConfigMistake } from './config-error.ts'
import type { SourceOf } from './issue-mistakes.ts'
import type { configSchema } from './schema.ts'
import { shownPath } from './shown.ts'

type Parsed = z.output<typeof configSchema>
type Add = (path: readonly PropertyKey[], message: string) => void

/** The mistakes of a configuration whose options are right one by one. */
export function contradictions(config: Parsed, sourceOf: SourceOf): ConfigMistake[] {
  const mistakes: ConfigMistake[] = []
  const add: Add = (path, message) => {
    mistakes.push({ path: shownPath(path), source: sourceOf(path), message })
  }
  checkBroker(config.broker, add)
  const { deadLetterTopic } = config.poison
  if (deadLetterTopic !== undefined && `${deadLetterTopic}/`.startsWith(`${config.root}/`)) {
    add(
      ['poison', 'deadLetterTopic'],
      `"${deadLetterTopic}" is below the root, "${config.root}", where requests and replies are; use a topic of its own`,
    )
  }
  for (const [name, model] of Object.entries(config.models)) {
    checkModel(['models', name], model, config.limits.bytesInFlightMax, add)
  }
  return mistakes
}

function checkBroker(broker: Parsed['broker'], add: Add): void {
  if (broker.password !== undefined && broker.passwordFile !== undefined) {
    add(
      ['broker', 'passwordFile'],
      'the password is given twice, by this file and by INFERWIRE_BROKER_PASSWORD; leave one of them out',
    )
  }
  if ((broker.password ?? broker.passwordFile) !== undefined && broker.username === undefined) {
    add(['broker', 'username'], 'is missing; a password needs a user name')
  }
  if (broker.reconnect.minMs > broker.reconnect.maxMs) {
    add(
      ['broker', 'reconnect', 'minMs'],
      `${broker.reconnect.minMs} is above maxMs, ${broker.reconnect.maxMs}; raise maxMs or lower minMs`,
    )
  }
  const secure = broker.url.replace(/^(mqtt|ws):/i, '$1s:')
  checkTls(['broker', 'tls'], broker.tls, secure === broker.url ? undefined : secure, add)
}

// What goes to the model server without being asked for: a second one would contradict it.
const ALREADY_PASSED = new Set(['inference-header-content-length', 'traceparent', 'tracestate'])

function checkModel(path: readonly string[], model: Parsed['models'][string], bytesMax: number, add: Add) {
  checkPassHeaders([...path, 'passHeaders'], model, add)
  checkTls([...path, 'tls'], model.tls, withTls(model.url), add)
  const { protocolVersion } = model
  const versioned = versionedDialects()
  if (model.versions.length > 0 && protocolVersion !== undefined && !versioned.includes(protocolVersion)) {
    add(
      [...path, 'versions'],
      `${DIALECTS[protocolVersion].title} has no versions; remove them, or set protocolVersion: ${versioned.join(' or ')}`,
    )
  }
  if (model.limits.requestBytesMax > bytesMax) {
    add(
      [...path, 'limits', 'requestBytesMax'],
      `${model.limits.requestBytesMax} is above limits.bytesInFlightMax, ${bytesMax}: the largest requests could never run; lower this one or raise that one`,
    )
  }
}

function checkPassHeaders(path: readonly string[], model: Parsed['models'][string], add: Add): void {
  const { credential, passHeaders } = model
  const secretName = credential.kind === 'static-header' ? credential.name.toLowerCase() : undefined
  for (const [index, name] of passHeaders.entries()) {
    // Else a client could send its own value beside our secret.
    if (name === secretName) {
      add([...path, index], `"${name}" is the header of the model's credential; leave it out`)
    } else if (ALREADY_PASSED.has(name)) {
      add([...path, index], `"${name}" is always passed; leave it out`)
    }
  }
}

// `secureUrl` is what the URL would be with TLS, where it has none.
function checkTls(
  path: readonly string[],
  tls: Parsed['broker']['tls'],
  secureUrl: string | undefined,
  add: Add,
) {
  const { certFile, keyFile } = tls
  if ((certFile === undefined) !== (keyFile === undefined)) {
    const missing = certFile === undefined ? 'certFile' : 'keyFile'
    add([...path, missing], 'is missing; certFile and keyFile belong together')
  }
  const isUsed = Object.values(tls).some((value) => value !== undefined && value !== false)
  // Silence would be taken for encryption.
  if (isUsed && secureUrl !== undefined) add(path, `is set, but the URL has no TLS; expected "${secureUrl}"`)
}
