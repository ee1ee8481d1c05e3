// Creates the MQTT sessions of a connector: the main session, and one for each lane.
import type { TopicSpace } from '@inferwire/protocol'
import type { ByteBudget } from './admission/index.ts'
import { laneNames, readPassword, type ConnectorConfig } from './config/index.ts'
import { Lanes } from './lane/index.ts'
import { MqttSession, type Keeper, type SessionOptions } from './session/index.ts'
import { laneSessionNews, sessionNews } from './session-news.ts'
import type { Delivery } from './step.ts'
import type { Log, Telemetry } from './telemetry/index.ts'

/** The session options that the simulation replaces with its own. */
export type SessionSeams = Partial<Pick<SessionOptions, 'dial' | 'random' | 'identifiers'>>

/** Dependencies and callbacks of the sessions. */
export interface SessionsParts {
  readonly config: ConnectorConfig
  readonly log: Log
  readonly topics: TopicSpace
  readonly telemetry: Telemetry
  /** Topic filters of requests. */
  readonly filters: readonly string[]
  /** Topic filters to which every connector subscribes without a shared subscription. */
  readonly ownFilters: readonly string[]
  /** The filters among `ownFilters` for which the broker should send retained messages. */
  readonly retainedFilters: readonly string[]
  readonly frameBytesMax: () => number
  readonly keeper: Keeper
  readonly budget: ByteBudget
  readonly will: NonNullable<SessionOptions['will']>
  readonly seams: SessionSeams | undefined
  readonly handle: (delivery: Delivery) => void
  /** Called when the main session is connected and subscribed; `bornAtMs` is in milliseconds since the epoch. */
  readonly ready: (bornAtMs: number) => void
  readonly unavailable: () => void
}

/** The sessions, not yet started. */
export interface Sessions {
  /** The main session: it receives requests for models without a lane, and publishes all replies. */
  readonly session: MqttSession
  readonly lanes: Lanes
  /** The error of the last failed connection of the main session; undefined if there was none. */
  readonly lastError: () => Error | undefined
}

// How long replies wait for redeliveries after a lane has lost its connection. Replies are published through the main
// session, so they need not wait until the lane reconnects.
const LANE_REDELIVERY_MAX_MS = 5_000

/** Creates the sessions without connecting them. */
export function openSessions(parts: SessionsParts): Sessions {
  const { config, log, telemetry, filters, ownFilters, retainedFilters, will, handle, ready, unavailable } =
    parts
  const options = sharedOptions(parts)
  const lanes = openLanes(parts, options)
  const news = sessionNews(config.broker.url, telemetry, log)
  const session = new MqttSession(
    { ...options, filters, ownFilters, retainedFilters, will },
    {
      delivered: (delivery) => {
        if (!lanes.take(delivery)) handle(delivery)
      },
      ready: (connected) => {
        news.ready(connected)
        ready(connected.bornAtMs)
      },
      unavailable: (failure) => {
        unavailable()
        news.unavailable(failure)
      },
      warned: news.warned,
    },
  )
  return { session, lanes, lastError: () => news.lastError }
}

type SharedOptions = Omit<SessionOptions, 'filters'>

function sharedOptions({ config, seams, frameBytesMax, keeper }: SessionsParts): SharedOptions {
  const { broker } = config
  return {
    ...broker,
    // The Protocol Version of CONNECT (MQTT 5 §3.1.2.2).
    protocolVersion: broker.mqttVersion === 5 ? 5 : 4,
    ...seams,
    password: () => readPassword(broker),
    frameBytesMax,
    keeper,
  }
}

function openLanes(parts: SessionsParts, options: SharedOptions): Lanes {
  const { config, log, topics, telemetry, budget, handle } = parts
  const { broker } = config
  const lanes = new Lanes({
    topics,
    isShared: broker.share !== undefined,
    handle,
    budget,
    open: (model, filters, lane) => {
      const news = laneSessionNews(model, broker.url, telemetry, log)
      const clientId = `${broker.clientId}-lane-${model}`
      return new MqttSession(
        { ...options, clientId, filters, redeliveryMaxMs: LANE_REDELIVERY_MAX_MS },
        {
          delivered: (delivery) => lane.delivered(delivery),
          ready: (connected) => {
            news.ready(connected)
            lane.ready(connected.limits.sessionPresent)
          },
          unavailable: (failure) => {
            news.unavailable(failure)
            lane.unavailable()
          },
          warned: news.warned,
        },
      )
    },
  })
  lanes.update(laneNames(config))
  return lanes
}
