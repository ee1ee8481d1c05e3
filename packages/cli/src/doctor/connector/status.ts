// Checks the retained statuses of the connectors: one is online, and each model is served once.
import { readStatus, type ConnectorStatus } from '@inferwire/protocol'
import { fault, notChecked, ok, warning, type Check, type Finding, type Outcome } from '../check.ts'
import type { DoctorContext } from '../context.ts'
import { VERSION } from '../../version.ts'
import { printable } from '../../table.ts'
import { anyLink } from '../links.ts'
import { readRetained } from './read-retained.ts'

const NAMES_MAX = 10

/** The statuses, which later checks use. */
const found = new WeakMap<DoctorContext, readonly ConnectorStatus[]>()

export const connectorStatus: Check = {
  id: 'connector.status',
  title: 'a connector is online',
  needs: ['broker.protocol', 'broker.retained?'],
  run: async (context) => {
    const { topics } = context
    const link = await anyLink(context, 'client')
    if (link === undefined) return notChecked('no login was accepted')
    const retained = await readRetained(link, topics.statusFilter, topics.status(''))
    const statuses = [...retained.values()].flatMap(({ topic, payload }) => {
      const connector = topics.statusOwner(topic)
      return connector === undefined ? [] : (readStatus(connector, payload) ?? [])
    })
    found.set(context, statuses)
    return judgeStatuses(statuses, topics.root)
  },
}

export const connectorReplicas: Check = {
  id: 'connector.replicas',
  title: 'no model is served by several connectors that do not share requests',
  needs: ['connector.status'],
  run: (context) => judgeReplicas(statusesOf(context)),
}

export const connectorModels: Check = {
  id: 'connector.models',
  title: 'the connectors serve the configured models',
  needs: ['connector.status'],
  run: (context): Outcome => {
    const { config } = context
    if ('missing' in config) return judgeNotReady(statusesOf(context))
    return judgeModels(Object.keys(config.value.models), statusesOf(context))
  },
}

/** Returns the statuses that `connector.status` found. */
export function statusesOf(context: DoctorContext): readonly ConnectorStatus[] {
  return found.get(context) ?? []
}

/** Judges whether a connector is online. */
export function judgeStatuses(statuses: readonly ConnectorStatus[], root: string): Finding[] {
  const online = statuses.filter(({ state }) => state === 'online')
  if (online.length > 0) return online.map(onlineFinding)
  if (statuses.length === 0) {
    return [
      fault(
        `No connector has published a status below ${root}/status/.`,
        'Start a connector for this broker with the same root: inferwire connect -c FILE. If one runs, check its log, and that this user may read statuses.',
      ),
    ]
  }
  return statuses.map(({ connector, state }) =>
    state === 'draining'
      ? fault(
          `The connector "${printable(connector)}" is draining: it accepts no new requests.`,
          'Wait until it has been replaced, or start it again.',
        )
      : fault(
          `The connector "${printable(connector)}" is offline.`,
          'Start it, or look at its log: kubectl logs statefulset/inferwire -n inferwire',
        ),
  )
}

function onlineFinding({ connector, version, models, discovery }: ConnectorStatus): Finding {
  const found = discovery === undefined ? '' : ` and ${discovery.ready} discovered models`
  const what = `The connector "${printable(connector)}" (version ${printable(version) || 'unknown'}) is online with ${models.length} models${found}`
  if (version === VERSION || version === '') return ok(`${what}.`)
  return warning(
    `${what}, but this command has version ${VERSION}.`,
    'Use the same version for the connector and this command.',
  )
}

/** Finds models that several connectors serve, each of which executes every request. */
export function judgeReplicas(statuses: readonly ConnectorStatus[]): Finding[] {
  const owners = new Map<string, ConnectorStatus[]>()
  for (const status of statuses.filter(({ state }) => state === 'online')) {
    for (const model of status.models) owners.set(model, [...(owners.get(model) ?? []), status])
  }
  const doubled = [...owners].filter(([, [first, ...others]]) =>
    others.some(({ share }) => share === undefined || share !== first?.share),
  )
  if (doubled.length === 0)
    return [ok('Each model is served by one connector or by one shared subscription.')]
  return doubled
    .slice(0, NAMES_MAX)
    .map(([model, servers]) =>
      fault(
        `The connectors ${servers.map(({ connector }) => `"${printable(connector)}"`).join(' and ')} each execute every request for model "${model}".`,
        'Set broker.share to the same name in the configuration of all of them, or expose the model in only one.',
      ),
    )
}

/** Compares the configured models with those that the connectors serve. */
export function judgeModels(names: readonly string[], statuses: readonly ConnectorStatus[]): Finding[] {
  const connected = statuses.filter(({ state }) => state !== 'offline')
  const served = new Set(connected.flatMap(({ models }) => models))
  const notReady = new Set(connected.flatMap((status) => status.not_ready ?? []))
  const findings = names.flatMap((name) => {
    if (served.has(name)) return []
    if (notReady.has(name)) return [notReadyFinding(name)]
    return [
      fault(
        `The model "${name}" is configured, but no connector exposes it.`,
        'Load this configuration into the connector: kill -HUP, or restart it. Its log shows mistakes (reload_refused).',
      ),
    ]
  })
  return findings.length > 0 ? findings : [ok(`The connectors serve all ${names.length} configured models.`)]
}

function judgeNotReady(statuses: readonly ConnectorStatus[]): Finding[] {
  const notReady = statuses
    .filter(({ state }) => state !== 'offline')
    .flatMap((status) => status.not_ready ?? [])
  return notReady.length > 0 ? notReady.map(notReadyFinding) : [ok('All models of the connectors are ready.')]
}

function notReadyFinding(name: string): Finding {
  return fault(
    `The connector has never reached the server of model "${name}"; requests are answered with model_not_ready.`,
    `Start the model server, or correct models.${name}.url. The check models.metadata shows the reason.`,
  )
}
