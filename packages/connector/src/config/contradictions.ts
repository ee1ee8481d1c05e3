// Finds options that are valid on their own but contradict each other.
import { DIALECTS, fitsRoutes, protocolOf, protocolVersions, versionedDialects } from '@inferwire/protocol'
import type { z } from 'zod'
import { withTls } from './address.ts'
import type { ConfigMistake } from './config-error.ts'
import type { CredentialConfig } from './credential-schema.ts'
import { checkDiscovery } from './discovery-contradictions.ts'
import { credentialMistake, definitionOfCredential } from './model-credential.ts'
import type { SourceOf } from './issue-mistakes.ts'
import { hasOpaqueBodies } from './model-schema.ts'
import type { configSchema } from './schema.ts'
import { shownPath } from './shown.ts'

type Parsed = z.output<typeof configSchema>
type Add = (path: readonly PropertyKey[], message: string) => void

/** Returns the contradictions in a configuration that matches the schema. */
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
      `"${deadLetterTopic}" is below the root, "${config.root}", which is for requests and replies; use a topic outside of it`,
    )
  }
  for (const [name, model] of Object.entries(config.models)) {
    checkCredential(['models', name], model, config.credentials, add)
    checkModel(['models', name], model, config.limits.bytesInFlightMax, add)
  }
  checkDiscovery(
    config.discovery,
    { models: Object.keys(config.models), credentials: config.credentials },
    add,
  )
  checkDiscoveredHeaders(config.discovery, config.credentials, add)
  checkModel(
    ['discovery', 'defaults'],
    discoveredModel(config.discovery),
    config.limits.bytesInFlightMax,
    add,
  )
  return mistakes
}

// The options of discovered models are checked with an example of an address.
function discoveredModel({ defaults, gateway }: Parsed['discovery']): Parsed['models'][string] {
  const usesTls = Object.values(defaults.tls).some((value) => value !== undefined && value !== false)
  const url = gateway.url ?? (usesTls ? 'https://service' : 'http://service')
  return { ...defaults, url, versions: [], credential: { kind: 'none' } }
}

function checkBroker(broker: Parsed['broker'], add: Add): void {
  if (broker.password !== undefined && broker.passwordFile !== undefined) {
    add(
      ['broker', 'passwordFile'],
      'the password is set twice, by passwordFile and by INFERWIRE_BROKER_PASSWORD; remove one of the two',
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

// The connector adds these headers to every call; a client's own value could contradict the connector's value.
const ALREADY_PASSED = new Set(['inference-header-content-length', 'traceparent', 'tracestate'])

function checkModel(path: readonly string[], model: Parsed['models'][string], bytesMax: number, add: Add) {
  checkTls([...path, 'tls'], model.tls, withTls(model.url), add)
  const { dialects, transport } = protocolOf(model.protocolVersion)
  const versioned = versionedDialects()
  if (model.versions.length > 0 && !dialects.some((dialect) => versioned.includes(dialect))) {
    const titles = dialects.map((dialect) => DIALECTS[dialect].title).join(', ')
    const usable = protocolVersions().filter((each) =>
      protocolOf(each).dialects.every((dialect) => versioned.includes(dialect)),
    )
    add(
      [...path, 'versions'],
      `${titles} has no versions; remove them, or set protocolVersion: ${usable.join(' or ')}`,
    )
  }
  if (model.batching !== 'off' && !model.repeatable) {
    add(
      [...path, 'batching'],
      'needs repeatable: true, because the requests of a failed merged call are sent again; or set batching: off',
    )
  }
  if (model.contentTypes.length > 0 && !dialects.some(hasOpaqueBodies)) {
    const titles = dialects.map((dialect) => DIALECTS[dialect].title).join(', ')
    const usable = protocolVersions().filter((each) => protocolOf(each).dialects.every(hasOpaqueBodies))
    add(
      [...path, 'contentTypes'],
      `${titles} accepts only its own content types; remove the list, or set protocolVersion: ${usable.join(' or ')}`,
    )
  }
  const { modelName } = model
  if (
    modelName !== undefined &&
    transport === 'http' &&
    !dialects.some((each) => fitsRoutes(modelName, each))
  ) {
    const usable = protocolVersions().filter(
      (each) =>
        protocolOf(each).transport === 'grpc' ||
        protocolOf(each).dialects.every((dialect) => fitsRoutes(modelName, dialect)),
    )
    add(
      [...path, 'modelName'],
      `"${modelName}" has a "/", but paths of ${dialects.map((dialect) => DIALECTS[dialect].title).join(', ')} contain the name as one segment; set protocolVersion: ${usable.join(' or ')}`,
    )
  }
  const { pathname } = new URL(model.url)
  if (transport === 'grpc' && pathname !== '/') {
    add([...path, 'url'], `has the path "${pathname}", but gRPC has fixed paths; remove the path`)
  }
  if (model.limits.requestBytesMax > bytesMax) {
    add(
      [...path, 'limits', 'requestBytesMax'],
      `${model.limits.requestBytesMax} is above limits.bytesInFlightMax, ${bytesMax}: the largest requests could never run; lower this value or raise limits.bytesInFlightMax`,
    )
  }
}

function checkCredential(
  path: readonly string[],
  model: Parsed['models'][string],
  credentials: Parsed['credentials'],
  add: Add,
): void {
  const mistake = credentialMistake(model, credentials)
  if (mistake !== undefined) add([...path, 'credential'], mistake)
  const secrets = secretNames([definitionOfCredential(model, credentials)])
  checkPassHeaders([...path, 'passHeaders'], model.passHeaders, secrets, "the model's credential", add)
}

// A discovered model may use any of the credentials that the section names.
function checkDiscoveredHeaders(
  { defaults, credential, credentials: allowed }: Parsed['discovery'],
  credentials: Parsed['credentials'],
  add: Add,
): void {
  const names = credential === undefined ? allowed : [credential, ...allowed]
  const secrets = secretNames(names.map((name) => definitionOfCredential({ credential: name }, credentials)))
  const path = ['discovery', 'defaults', 'passHeaders']
  checkPassHeaders(path, defaults.passHeaders, secrets, 'a credential of discovered models', add)
}

// The headers that contain secrets, in lower case.
function secretNames(definitions: readonly (CredentialConfig | undefined)[]): Set<string> {
  return new Set(
    definitions.flatMap((each) => (each?.kind === 'static-header' ? [each.name.toLowerCase()] : [])),
  )
}

function checkPassHeaders(
  path: readonly string[],
  passHeaders: readonly string[],
  secrets: ReadonlySet<string>,
  owner: string,
  add: Add,
): void {
  for (const [index, name] of passHeaders.entries()) {
    // Without this error, a client could send its own value in addition to the secret.
    if (secrets.has(name)) {
      add([...path, index], `"${name}" is the header of ${owner}; remove it`)
    } else if (ALREADY_PASSED.has(name)) {
      add([...path, index], `"${name}" is always passed; remove it`)
    }
  }
}

// `secureUrl` is the URL with the scheme for TLS; undefined if the URL already uses TLS.
function checkTls(
  path: readonly string[],
  tls: Parsed['broker']['tls'],
  secureUrl: string | undefined,
  add: Add,
) {
  const { certFile, keyFile } = tls
  if ((certFile === undefined) !== (keyFile === undefined)) {
    const missing = certFile === undefined ? 'certFile' : 'keyFile'
    add([...path, missing], 'is missing; set both certFile and keyFile, or neither')
  }
  const isUsed = Object.values(tls).some((value) => value !== undefined && value !== false)
  // Without this error, the operator would believe that the connection is encrypted.
  if (isUsed && secureUrl !== undefined)
    add(path, `is set, but the URL does not use TLS; expected "${secureUrl}"`)
}
