// Creates the rooms and links them to each other, for the connector and for the simulation.
import { TopicSpace, type DiscoveryStatus, type ModelCard } from '@inferwire/protocol'
import { Admission, ByteBudget, Clients, Policy } from './admission/index.ts'
import { Cancels } from './cancels.ts'
import type { ConnectorConfig } from './config/index.ts'
import { Duplicates } from './duplicates/index.ts'
import type { Lanes } from './lane/index.ts'
import { openSessions, type SessionSeams } from './open-sessions.ts'
import { Peers } from './peers/index.ts'
import { Pipeline } from './pipeline.ts'
import { PoisonWatch } from './poison/index.ts'
import { LeftOverCards, Presence } from './presence/index.ts'
import { firstOf, ModelTable, StandardRouter, withoutLoops } from './route/index.ts'
import { publishRefusal, type Keeper, type MqttSession } from './session/index.ts'
import type { Delivery, PublishResult, Router } from './step.ts'
import { ProblemLog, Telemetry, type Log } from './telemetry/index.ts'
import { VERSION } from './version.ts'

/** The configuration, and the parts that the caller of `compose` provides. */
export interface ComposeParts {
  readonly config: ConnectorConfig
  readonly log: Log
  /** The models; not read before the rooms are connected. */
  readonly models: () => ModelsView
  /** The models that were found in a cluster, in numbers. @default without discovery */
  readonly discovery?: () => DiscoveryStatus | undefined
  /** Stores a request that must be acknowledged before it is answered. */
  readonly keeper: Keeper
  /** Called each time the session is connected and subscribed. */
  readonly ready: () => void
  /** Routers for topics other than the standard topics; they take precedence over the standard router. */
  readonly routers?: readonly Router[]
  readonly seams?: Seams
}

/** The parts of the registry that the rooms read. */
export interface ModelsView {
  /** The published cards, by name. */
  readonly cards: ReadonlyMap<string, ModelCard>
  /** Configured models that are exposed. */
  readonly ready: readonly string[]
  /** Configured models that are not exposed yet. */
  readonly notReady: readonly string[]
  /** The largest `requestBytesMax` of all models. */
  readonly requestBytesMax: number
}

/** Replacements for the simulation: another network, another duplicate memory, or injected faults. */
export interface Seams {
  readonly session?: SessionSeams
  readonly duplicates?: Duplicates
  /** Returns the delivery to pass to the pipeline; undefined = the delivery is dropped. */
  readonly delivered?: (delivery: Delivery) => Delivery | undefined
  readonly publish?: (message: Message, publish: Publish) => Promise<PublishResult>
}

type Publish = MqttSession['publish']
type Message = Parameters<Publish>[0]

/** The connected rooms. */
export interface Composition {
  readonly topics: TopicSpace
  /** The exposed models. */
  readonly table: ModelTable
  readonly telemetry: Telemetry
  readonly problemLog: ProblemLog
  readonly budget: ByteBudget
  readonly policy: Policy
  readonly duplicates: Duplicates
  readonly poison: PoisonWatch
  readonly pipeline: Pipeline
  readonly presence: Presence
  /** Undefined without discovery. */
  readonly leftOverCards: LeftOverCards | undefined
  /** The main session: it receives requests for models without a lane, and publishes all replies. */
  readonly session: MqttSession
  readonly lanes: Lanes
  /** The error of the last failed connection; undefined if there was none. */
  readonly lastError: () => Error | undefined
}

// Size allowed for the topic and properties, in addition to the largest body that a model accepts.
const FRAME_HEADER_BYTES = 256 * 1024

/** Creates the rooms. Nothing connects before `lanes.start` and `session.start`. */
export function compose(parts: ComposeParts): Composition {
  const { config, log, models, discovery = () => undefined, keeper, ready, routers = [], seams = {} } = parts
  const { limits } = config
  const topics = new TopicSpace(config.root)
  const table = new ModelTable()
  const telemetry = new Telemetry()
  const budget = new ByteBudget(limits.bytesInFlightMax)
  const clients = new Clients(limits.client)
  const policy = new Policy(config.policy?.allow, config.policy?.showForbidden)
  const duplicates = seams.duplicates ?? new Duplicates(limits.duplicates)
  const poison = new PoisonWatch()
  const cancels = new Cancels({ topics, models: table, clients, telemetry, log })
  const peers = new Peers({
    topics,
    name: config.name,
    share: config.broker.share,
    isOwn: (model) => table.has(model),
    discovery,
    predecessor: (status, bornAtMs) => {
      presence.clearCardsOf(status)
      if (status.timestamp >= bornAtMs) session.beBornAfter(status.timestamp)
    },
    left: (models) => presence.cardsAgain(models),
    log,
  })
  const leftOverCards = config.discovery.enabled
    ? new LeftOverCards({
        topics,
        name: config.name,
        isOwn: (model) => models().cards.has(model) || table.has(model),
        clear: (model) => presence.clearCard(model),
      })
    : undefined
  const retainedFilters = [peers.filter, ...(leftOverCards === undefined ? [] : [leftOverCards.filter])]
  const ownFilters = [cancels.filter, ...retainedFilters]
  const problemLog = new ProblemLog(log)
  const router = routerOf(
    routers,
    new StandardRouter({ topics, models: table, policy, peers }),
    ownFilters,
    log,
  )
  const send: Publish = (message) => session.publish(message)
  const { publish: publishSeam } = seams
  const publish: Publish = publishSeam === undefined ? send : (message) => publishSeam(message, send)
  const pipeline = new Pipeline({
    router,
    cancels,
    admission: new Admission(policy, clients),
    duplicates,
    poison,
    budget,
    publish,
    deadLetterTopic: config.poison.deadLetterTopic,
    telemetry,
    problemLog,
    log,
  })
  const presence = new Presence({
    topics,
    name: config.name,
    version: VERSION,
    share: config.broker.share,
    ready: () => models().ready,
    notReady: () => models().notReady,
    discovery,
    isExposedByPeer: (model) => peers.exposes(model),
    cards: () => models().cards,
    publish: send,
    refused: (topic, reasonCode) => retainedRefused(topic, reasonCode, log),
  })
  const handle = (delivery: Delivery): void => {
    const given = seams.delivered === undefined ? delivery : seams.delivered(delivery)
    if (given === undefined || peers.take(given) || leftOverCards?.take(given) === true) return
    pipeline.handle(given)
  }
  const { session, lanes, lastError } = openSessions({
    config,
    log,
    topics,
    telemetry,
    filters: router.filters(),
    ownFilters,
    retainedFilters,
    frameBytesMax: () => models().requestBytesMax + FRAME_HEADER_BYTES,
    keeper,
    budget,
    will: (bornAtMs) => presence.will(bornAtMs),
    seams: seams.session,
    handle,
    ready: (bornAtMs) => {
      presence.connected(bornAtMs)
      peers.subscribed(bornAtMs)
      poison.subscribed()
      ready()
    },
    unavailable: () => {
      presence.disconnected()
      peers.disconnected()
    },
  })
  return {
    topics,
    table,
    telemetry,
    problemLog,
    budget,
    policy,
    duplicates,
    poison,
    pipeline,
    presence,
    leftOverCards,
    session,
    lanes,
    lastError,
  }
}

// The standard router is last, so that other routers take precedence.
function routerOf(
  others: readonly Router[],
  standard: Router,
  ownFilters: readonly string[],
  log: Log,
): Router {
  const guarded = others.map((other) =>
    withoutLoops(
      other,
      () => [...router.filters(), ...ownFilters],
      (topic) =>
        log.error(
          { event: 'reply_loop', topic },
          `A route's reply topic "${topic}" matches a subscription of the connector, so replies would be received as requests. Change the route's reply topic.`,
        ),
    ),
  )
  const router = firstOf([...guarded, standard])
  return router
}

function retainedRefused(topic: string, reasonCode: number, log: Log): void {
  log.warn({ event: 'publish_refused', topic, reasonCode }, publishRefusal(topic, reasonCode))
}
