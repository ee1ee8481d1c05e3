// Checks that every retained model card belongs to a model that a connector serves.
import { belongsToDiscovery, type ConnectorStatus } from '@inferwire/protocol'
import { notChecked, ok, warning, type Check, type Finding } from '../check.ts'
import { printable } from '../../table.ts'
import { anyLink } from '../links.ts'
import { readRetained } from './read-retained.ts'
import { statusesOf } from './status.ts'

const NAMES_MAX = 10

export const connectorCards: Check = {
  id: 'connector.cards',
  title: 'each retained model card belongs to a model that is served',
  needs: ['connector.status'],
  run: async (context) => {
    const { topics } = context
    const link = await anyLink(context, 'client')
    if (link === undefined) return notChecked('no login was accepted')
    const prefix = topics.card('')
    const cards = await readRetained(link, topics.card('+'), prefix)
    const names = [...cards.keys()].map((topic) => topic.slice(prefix.length))
    return judgeCards(names, statusesOf(context), prefix)
  },
}

/** Finds cards without a model. A status does not list discovered models, but the namespaces to which their names belong. */
export function judgeCards(
  names: readonly string[],
  statuses: readonly ConnectorStatus[],
  prefix: string,
): Finding[] {
  const served = new Set(statuses.flatMap(({ models, not_ready }) => [...models, ...(not_ready ?? [])]))
  const isDiscovered = (name: string): boolean =>
    statuses.some(({ discovery }) => discovery !== undefined && belongsToDiscovery(discovery, name))
  const stale = names.filter((name) => !served.has(name) && !isDiscovered(name))
  if (stale.length === 0) return [ok(`All ${names.length} model cards belong to served models.`)]
  return stale
    .slice(0, NAMES_MAX)
    .map((name) =>
      warning(
        `The model card of "${printable(name)}" is retained, but no connector serves the model.`,
        `Clear it with a user that may publish cards: mosquitto_pub -r -n -t '${printable(prefix + name)}'`,
      ),
    )
}
