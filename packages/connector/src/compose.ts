// Puts the rooms together: what the connector runs, and the simulation too.
import { TopicSpace, type ModelCard } from '@inferwire/protocol'
import { Admission, ByteBudget, Clients, Policy } from './admission/index.ts'
import { Cancels } from './cancels.ts'
import { laneNames, readPassword, type ConnectorConfig } from './config/index.ts'
import { Duplicates } from './duplicates/index.ts'
import { Lanes } from './lane/index.ts'
import { Pipeline } from './pipeline.ts'
import { PoisonWatch } from './poison/index.ts'
import { Presence } from './presence/index.ts'
import { firstOf, ModelTable, StandardRouter, withoutLoops } from './route/index.ts'
import { MqttSession, type Keeper, type SessionListener, type SessionOptions } from './session/index.ts'
import type { Delivery, PublishResult, Router } from './step.ts'
import { ProblemLog, Telemetry, type Log } from './telemetry/index.ts'
import { laneSessionNews, sessionNews } from './session-news.ts'
import { VERSION } from './version.ts'

/** What a composition needs that is not configuration. */
export interface ComposeParts {
  readonly config: ConnectorConfig
  readonly log: Log
  /** The cards of everything that is exposed now. */
  readonly cards: () => readonly ModelCard[]
  /** The largest request body of anything that is exposed, in bytes. */
  readonly requestBytesMax: () => number
  /** Keeps a request whose Packet Identifier must be given up; undefined = it cannot be kept. */
  readonly keeper: Keeper
  /** Connected and subscribed, each time. */
  readonly ready: () => void
  /** Routers of other topics than the standard ones; they are asked first. */
  readonly routers?: readonly Router[]
  readonly seams?: Seams
}

/** Where the simulation gets in: another network, another memory, or a fault on purpose. */
export interface Seams {
  readonly session?: Partial<Pick<SessionOptions, 'dial' | 'random' | 'identifiers'>>
  readonly duplicates?: Duplicates
  /** What the pipeline gets of a delivery; undefined = nothing. */
  readonly delivered?: (delivery: Delivery) => Delivery | undefined
  readonly publish?: (message: Message, publish: Publish) => Promise<PublishResult>
}

type Publish = MqttSession['publish']
type Message = Parameters<Publish>[0]

/** The rooms, ready to start. */
export interface Composition {
  readonly topics: TopicSpace
  /** Where models are exposed. */
  readonly table: ModelTable
  readonly telemetry: Telemetry
  readonly budget: ByteBudget
  readonly policy: Policy
  readonly duplicates: Duplicates
  readonly poison: PoisonWatch
  readonly pipeline: Pipeline
  readonly presence: Presence
  /** The session of everything that has no lane, and of all replies. */
  readonly session: MqttSession
  readonly lanes: Lanes
  /** Why there is no session; undefined before the first attempt has failed. */
  readonly lastError: () => Error | undefined
}

// Topic and properties come on top of the largest body that a model takes.
const FRAME_HEADER_BYTES = 256 * 1024

/** Makes the rooms; nothing is connected before `lanes.start` and `session.start`. */
export function compose(parts: ComposeParts): Composition {
  const { config, log, cards, requestBytesMax, keeper, ready, routers = [], seams = {} } = parts
  const { name, broker, limits } = config
  const topics = new TopicSpace(config.root)
  const table = new ModelTable()
  const telemetry = new Telemetry()
  const budget = new ByteBudget(limits.bytesInFlightMax)
  const clients = new Clients(limits.client)
  const policy = new Policy(config.policy?.allow)
  const duplicates = seams.duplicates ?? new Duplicates(limits.duplicates)
  const poison = new PoisonWatch()
  const cancels = new Cancels({ topics, models: table, clients, telemetry, log })
  const ownFilters = [cancels.filter]
  const guarded = routers.map((other) =>
    withoutLoops(
      other,
      () => [...router.filters(), ...ownFilters],
      (topic) =>
        log.error(
          { event: 'reply_loop', topic },
          `A route answers on "${topic}", which is one of our own subscriptions: the answer would be a request again. Give it another reply topic.`,
        ),
    ),
  )
  const router = firstOf([...guarded, new StandardRouter(topics, table)])
  const send: Publish = (message) => session.publish(message)
  const publish: Publish = seams.publish === undefined ? send : (message) => seams.publish!(message, send)
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
    problemLog: new ProblemLog(log),
    log,
  })
  const presence = new Presence({
    topics,
    name,
    version: VERSION,
    cards,
    publish: send,
    refused: (topic, reasonCode) =>
      log.warn(
        { event: 'publish_refused', topic, reasonCode },
        `The broker refused a publish to "${topic}" (0x${reasonCode.toString(16)}). Grant the connector's user write access to it.`,
      ),
  })
  const handle = (delivery: Delivery): void => {
    const given = seams.delivered === undefined ? delivery : seams.delivered(delivery)
    if (given !== undefined) pipeline.handle(given)
  }
  const sessionOptions = {
    ...broker,
    ...seams.session,
    password: () => readPassword(broker),
    frameBytesMax: () => requestBytesMax() + FRAME_HEADER_BYTES,
    keeper,
  }
  const lanes = new Lanes({
    topics,
    isShared: broker.share !== undefined,
    handle,
    open: (model, filters, lane) => {
      const laneNews = laneSessionNews(model, broker.url, telemetry, log)
      const listener: SessionListener = {
        delivered: (delivery) => lane.delivered(delivery),
        ready: (connected) => {
          laneNews.ready(connected)
          lane.ready(connected.limits.sessionPresent)
        },
        unavailable: (failure) => {
          laneNews.unavailable(failure)
          lane.unavailable()
        },
        warned: laneNews.warned,
      }
      const clientId = `${broker.clientId}-lane-${model}`
      return new MqttSession({ ...sessionOptions, clientId, filters }, listener)
    },
  })
  lanes.update(laneNames(config))
  const news = sessionNews(broker.url, telemetry, log)
  const session = new MqttSession(
    {
      ...sessionOptions,
      filters: router.filters(),
      ownFilters,
      will: (bornAtMs) => presence.will(bornAtMs),
    },
    {
      delivered: (delivery) => {
        if (!lanes.take(delivery)) handle(delivery)
      },
      ready: (connected) => {
        news.ready(connected)
        presence.connected(connected.bornAtMs)
        poison.subscribed()
        ready()
      },
      unavailable: (failure) => {
        presence.disconnected()
        news.unavailable(failure)
      },
      warned: news.warned,
    },
  )
  return {
    topics,
    table,
    telemetry,
    budget,
    policy,
    duplicates,
    poison,
    pipeline,
    presence,
    session,
    lanes,
    lastError: () => news.lastError,
  }
}
