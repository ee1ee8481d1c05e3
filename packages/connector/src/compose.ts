// Puts the rooms together: what the connector runs, and the simulation too.
import { TopicSpace, type ModelCard } from '@inferwire/protocol'
import { Admission, ByteBudget, Clients, Policy } from './admission/index.ts'
import { Cancels } from './cancels.ts'
import { readPassword, type ConnectorConfig } from './config/index.ts'
import { Duplicates } from './duplicates/index.ts'
import { Pipeline } from './pipeline.ts'
import { PoisonWatch } from './poison/index.ts'
import { Presence } from './presence/index.ts'
import { firstOf, ModelTable, StandardRouter } from './route/index.ts'
import { MqttSession, type SessionOptions } from './session/index.ts'
import type { Delivery, PublishResult, Router } from './step.ts'
import { ProblemLog, Telemetry, type Log } from './telemetry/index.ts'
import { sessionNews } from './session-news.ts'
import { VERSION } from './version.ts'

/** What a composition needs that is not configuration. */
export interface ComposeParts {
  readonly config: ConnectorConfig
  readonly log: Log
  /** The cards of everything that is exposed now. */
  readonly cards: () => readonly ModelCard[]
  /** The largest request body of anything that is exposed, in bytes. */
  readonly requestBytesMax: () => number
  /** Connected and subscribed, each time. */
  readonly ready: () => void
  readonly seams?: Seams
}

/** Where a test gets in: another clock, network or memory, routers beside the standard one, or a fault on purpose. */
export interface Seams {
  readonly session?: Partial<Pick<SessionOptions, 'dial' | 'random'>>
  readonly routers?: readonly Router[]
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
  readonly session: MqttSession
  /** Why there is no session; undefined before the first attempt has failed. */
  readonly lastError: () => Error | undefined
}

// Topic and properties come on top of the largest body that a model takes.
const FRAME_HEADER_BYTES = 256 * 1024

/** Makes the rooms; nothing is connected before `session.start`. */
export function compose({
  config,
  log,
  cards,
  requestBytesMax,
  ready,
  seams = {},
}: ComposeParts): Composition {
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
  const router = firstOf([...(seams.routers ?? []), new StandardRouter(topics, table)])
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
  const news = sessionNews(broker.url, telemetry, log)
  const session = new MqttSession(
    {
      ...broker,
      ...seams.session,
      password: () => readPassword(broker),
      filter: router.filters()[0]!,
      ownFilters: [cancels.filter],
      frameBytesMax: () => requestBytesMax() + FRAME_HEADER_BYTES,
      will: (bornAtMs) => presence.will(bornAtMs),
    },
    {
      delivered: (delivery) => {
        const given = seams.delivered === undefined ? delivery : seams.delivered(delivery)
        if (given !== undefined) pipeline.handle(given)
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
    lastError: () => news.lastError,
  }
}
