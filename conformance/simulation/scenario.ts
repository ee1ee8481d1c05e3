// Derives a plan from a seed: the options of connector and broker, the requests and the faults.
import { Random } from '../fixtures/random.ts'

/** Number of random numbers that are discarded, so that neighboring seeds produce unrelated runs. */
export const WARM_UP_ROUNDS = 4

/** How the model server treats one request. */
export type Behaviour =
  | { readonly kind: 'answer'; readonly ms: number; readonly bytes: number }
  | { readonly kind: 'problem'; readonly ms: number }
  /** Sends a multi-part answer. `deadly` = during the first call, kills the connector's process after the last part. */
  | {
      readonly kind: 'stream'
      readonly parts: number
      readonly everyMs: number
      readonly bytes: number
      readonly end: 'answer' | 'problem' | 'hang' | 'deadly'
    }
  | { readonly kind: 'throw' }
  /** The model server does not answer before the deadline. */
  | { readonly kind: 'hang' }
  /** The first call kills the connector's process. */
  | { readonly kind: 'deadly' }

/** Names of the models. */
export type ModelName = 'm' | 'batched'

/** Options of the model with batching. */
export interface BatchingPlan {
  readonly sizeMax: number
  readonly delayMaxMs: number
  readonly isLearning: boolean
  /** Whether the model's answers to shared calls can be divided. */
  readonly isDivisible: boolean
}

/** One request, which may be published several times. */
export interface PlannedRequest {
  readonly key: string
  /** `batched` is the model with batching. `m` has no batching, and may send multi-part answers. */
  readonly model: ModelName
  /** Times when the request is published. A requester without a reply publishes the same bytes again. */
  readonly atMs: readonly number[]
  /** When the request is cancelled. The broker treats a cancel message like a request. */
  readonly cancelAtMs: number | undefined
  readonly topic: string
  readonly qos: 0 | 1
  readonly retain: boolean
  readonly correlationData: string | undefined
  readonly responseTopic: string | undefined
  readonly expirySeconds: number | undefined
  readonly timeoutMs: number | undefined
  readonly payload: string
  readonly behaviour: Behaviour
  /**
   * Reason code of the PUBACK for a reply. `hang up` = instead of acknowledging a successful answer, the broker closes
   * the connection.
   */
  readonly replyCode: number | 'hang up'
  /** Topic of the answer; undefined if there is no valid reply address. */
  readonly replyTopic: string | undefined
}

/** A fault with its duration. */
export type Fault =
  | { readonly kind: 'cut'; readonly noticeMs: number }
  /** Repeated resets. */
  | { readonly kind: 'flapping'; readonly everyMs: number; readonly forMs: number }
  | { readonly kind: 'slow'; readonly forMs: number }
  | { readonly kind: 'half-open'; readonly direction: 'up' | 'down' | 'both'; readonly forMs: number }
  | { readonly kind: 'broker-restart'; readonly keepsSession: boolean; readonly forMs: number }
  | { readonly kind: 'broker-freeze'; readonly forMs: number }
  | { readonly kind: 'broker-refuses'; readonly reasonCode: number; readonly forMs: number }
  | { readonly kind: 'subscribe-refused'; readonly reasonCode: number; readonly forMs: number }
  | { readonly kind: 'takeover' }
  | { readonly kind: 'replies-refused'; readonly reasonCode: number; readonly forMs: number }
  | { readonly kind: 'kill'; readonly isSilent: boolean; readonly forMs: number }
  | { readonly kind: 'freeze'; readonly forMs: number }
  | { readonly kind: 'drain'; readonly forMs: number }
  | { readonly kind: 'model-outage'; readonly forMs: number }

/** A fault, which happens at a given time, or directly after a given number of events on the wire. */
export interface PlannedFault {
  readonly when: { readonly atMs: number } | { readonly afterWireEvents: number }
  readonly fault: Fault
}

/** The plan of one run. */
export interface Scenario {
  readonly seed: number
  readonly protocolVersion: 4 | 5
  readonly share: string | undefined
  readonly ackOrder: 'strict' | 'bounded' | 'as-settled'
  readonly ackHoldMaxMs: number
  readonly receiveMaximum: number
  readonly keepAliveSeconds: number
  readonly concurrency: number
  readonly queueDepthMax: number
  readonly clientInFlightMax: number
  /** Whether a request that may have been executed may be executed again. */
  readonly repeatable: boolean
  /** Whether the model may send multi-part answers. */
  readonly mayEmit: boolean
  readonly modelTimeoutMs: number
  readonly bytesInFlightMax: number
  readonly drainTimeoutMs: number
  /** The highest Packet Identifier that the broker uses. After this identifier, the broker continues with 1. */
  readonly packetIds: number
  /** The broker's Receive Maximum after each of its starts. The list repeats after its last value. */
  readonly brokerReceiveMaxima: readonly number[]
  readonly brokerPacketBytesMax: number
  /** Whether a request whose identifier must be released can be put in safekeeping. */
  readonly canKeep: boolean
  readonly batching: BatchingPlan
  readonly requests: readonly PlannedRequest[]
  readonly faults: readonly PlannedFault[]
}

// Batching has its own random numbers, so that it does not change the rest of a seed's plan.
const BATCHING_SALT = 0xba7c
const PACKET_IDS = 65_535

/** Returns the plan of a seed. */
export function planScenario(seed: number): Scenario {
  const random = new Random(seed, WARM_UP_ROUNDS)
  const protocolVersion = random.chance(0.12) ? 4 : 5
  const ackOrder = random.pick(['strict', 'strict', 'bounded', 'bounded', 'bounded', 'as-settled'] as const)
  // In some runs, there are so few Packet Identifiers (instead of 65,535) that they are reused.
  const packetIds = random.chance(0.1) ? random.pick([8, 24]) : PACKET_IDS
  const count = packetIds === PACKET_IDS ? random.between(3, 24) : random.between(30, 60)
  const style: Style = {
    protocolVersion,
    loadMs: random.pick([20, 300, 3_000]),
    isGentle: random.chance(0.3),
    mayEmit: protocolVersion === 5 && random.chance(0.5),
  }
  const { loadMs, mayEmit } = style
  const batchingRandom = new Random(seed ^ BATCHING_SALT, WARM_UP_ROUNDS)
  const batchedShare = batchingRandom.pick([0, 0, 0.3, 0.9])
  const requests = Array.from({ length: count }, (_, index) => {
    const model = batchingRandom.chance(batchedShare) ? 'batched' : 'm'
    return planRequest(random.fork(), index, model, style)
  })
  const faults = Array.from({ length: random.pick([0, 1, 1, 2, 3, 5]) }, () =>
    planFault(random.fork(), count, loadMs),
  )
  return {
    seed,
    protocolVersion,
    share: random.chance(0.4) ? 'inferwire' : undefined,
    ackOrder,
    ackHoldMaxMs: random.pick([0, 20, 300, 2_000]),
    receiveMaximum: Math.min(packetIds, random.pick([1, 2, 5, 20, 65_535])),
    keepAliveSeconds: random.pick([2, 10, 30]),
    concurrency: random.pick([1, 2, 8, 64]),
    queueDepthMax: random.pick([1, 8, 256]),
    clientInFlightMax: random.pick([2, 256]),
    repeatable: random.chance(0.75),
    mayEmit,
    modelTimeoutMs: random.pick([500, 3_000, 10_000]),
    bytesInFlightMax: random.pick([300, 4_000, 1_000_000]),
    drainTimeoutMs: random.pick([100, 2_000, 15_000]),
    packetIds,
    brokerReceiveMaxima: [random.pick([1, 3, 20, 65_535]), random.pick([1, 3, 20, 65_535])],
    brokerPacketBytesMax: random.chance(0.1) ? 700 : 268_435_455,
    batching: planBatching(batchingRandom),
    requests,
    faults,
    // This value is drawn last, because drawing it earlier would change the plans of all seeds.
    canKeep: random.chance(0.6),
  }
}

// Options that all requests of a scenario share.
interface Style {
  readonly protocolVersion: 4 | 5
  readonly loadMs: number
  readonly isGentle: boolean
  readonly mayEmit: boolean
}

function planBatching(random: Random): BatchingPlan {
  return {
    sizeMax: random.pick([2, 3, 8, 32]),
    delayMaxMs: random.pick([0, 1, 20, 300]),
    isLearning: random.chance(0.5),
    isDivisible: random.chance(0.85),
  }
}

function planRequest(random: Random, index: number, model: ModelName, style: Style): PlannedRequest {
  const { protocolVersion, loadMs, isGentle, mayEmit } = style
  const key = `k${index}`
  const client = random.pick(['cam1', 'cam2'])
  const isV5 = protocolVersion === 5
  const hasCorrelation = isV5 && random.chance(0.7)
  // Requests without Correlation Data must have distinct topics.
  const levels = hasCorrelation && random.chance(0.6) ? '' : `/${key}`
  const odd = isGentle ? 1 : random.next()
  const rest =
    odd < 0.02 ? '' : odd < 0.04 ? `${client}/other/infer${levels}` : `${client}/${model}/infer${levels}`
  const derived = rest === '' ? undefined : `infer/reply/${rest}`
  const own = `infer/reply/${client}/inbox/${key}`
  const responseTopic = !isV5 || rest === '' ? undefined : pickResponseTopic(random, own)
  const first = random.next() * loadMs
  const again = random.chance(0.15) ? [first + random.pick([0, 5, 400, 4_000])] : []
  const request: PlannedRequest = {
    key,
    model,
    atMs: [first, ...again],
    cancelAtMs: random.chance(0.06) ? first + random.pick([0, 3, 300]) : undefined,
    topic: `infer/request/${rest}`,
    qos: random.chance(0.04) ? 0 : 1,
    retain: random.chance(0.03),
    correlationData: hasCorrelation ? key : undefined,
    responseTopic,
    expirySeconds: isV5 && random.chance(0.4) ? random.pick([1, 2, 5, 60]) : undefined,
    timeoutMs: isV5 && random.chance(0.15) ? random.pick([1, 50, 2_000]) : undefined,
    payload: random.chance(0.02)
      ? 'not json'
      : JSON.stringify({ key, fill: 'x'.repeat(random.pick([0, 40, 400])) }),
    behaviour: isGentle
      ? { kind: 'answer', ms: random.pick([0, 1, 20]), bytes: 30 }
      : mayEmit && random.chance(0.4)
        ? planStream(random)
        : planBehaviour(random),
    replyCode: isGentle || random.chance(0.93) ? 0 : pickReplyCode(random, isV5),
    replyTopic: responseTopic === own ? own : derived,
  }
  // Some streams are cancelled in the middle. This choice is made last, so that the rest of the request does not
  // depend on it.
  const isCut = request.behaviour.kind === 'stream' && random.chance(0.15)
  return isCut ? { ...request, cancelAtMs: first + random.pick([1, 10, 50, 500]) } : request
}

// MQTT 3.1.1 has no reason codes: the broker closes the connection, or drops the reply silently.
function pickReplyCode(random: Random, isV5: boolean): number | 'hang up' {
  return isV5 ? random.pick([0x10, 0x83, 0x87, 0x97, 'hang up']) : 'hang up'
}

function pickResponseTopic(random: Random, own: string): string | undefined {
  if (random.chance(0.7)) return undefined
  return random.pick([own, own, own, 'infer/reply/other/x', 'infer/request/cam1/m', 'infer/reply/cam1/+'])
}

function planBehaviour(random: Random): Behaviour {
  const kind = random.next()
  if (kind < 0.78) {
    return {
      kind: 'answer',
      ms: random.pick([0, 1, 5, 50, 400, 4_000]),
      bytes: random.pick([30, 30, 600, 3_000]),
    }
  }
  if (kind < 0.86) return { kind: 'problem', ms: random.pick([0, 20, 300]) }
  if (kind < 0.89) return { kind: 'throw' }
  return kind < 0.98 ? { kind: 'hang' } : { kind: 'deadly' }
}

function planStream(random: Random): Behaviour {
  return {
    kind: 'stream',
    parts: random.pick([0, 1, 2, 3, 8]),
    everyMs: random.pick([0, 0, 1, 20, 400]),
    bytes: random.pick([0, 0, 30, 600]),
    end: random.pick(['answer', 'answer', 'answer', 'answer', 'answer', 'problem', 'hang', 'deadly']),
  }
}

function planFault(random: Random, requests: number, loadMs: number): PlannedFault {
  const when = random.chance(0.7)
    ? { afterWireEvents: random.between(0, requests * 4) }
    : { atMs: random.next() * (loadMs + 1_500) }
  return { when, fault: pickFault(random) }
}

function pickFault(random: Random): Fault {
  const forMs = random.pick([1, 40, 700, 4_000])
  switch (random.between(0, 16)) {
    case 0:
    case 1:
    case 2:
      return { kind: 'cut', noticeMs: random.pick([0, 1, 50, 3_000]) }
    case 3:
      return { kind: 'slow', forMs }
    case 4:
      return {
        kind: 'half-open',
        direction: random.pick(['up', 'down', 'both']),
        forMs: random.pick([40, 5_000, 50_000]),
      }
    case 5:
    case 6:
      return { kind: 'broker-restart', keepsSession: random.chance(0.6), forMs }
    case 7:
      return { kind: 'broker-freeze', forMs: random.pick([40, 700, 4_000, 20_000]) }
    case 8:
      return random.chance(0.5)
        ? { kind: 'broker-refuses', reasonCode: random.pick([0x87, 0x88, 0x89]), forMs }
        : { kind: 'subscribe-refused', reasonCode: random.pick([0, 0x80, 0x87]), forMs }
    case 9:
      return { kind: 'takeover' }
    case 10:
      return { kind: 'replies-refused', reasonCode: random.pick([0x83, 0x87, 0x97]), forMs }
    case 11:
    case 12:
      return { kind: 'kill', isSilent: random.chance(0.3), forMs }
    case 13:
      return { kind: 'freeze', forMs: random.pick([40, 4_000, 20_000]) }
    case 14:
      return { kind: 'drain', forMs }
    case 15:
      return {
        kind: 'flapping',
        everyMs: random.pick([1, 20, 300, 1_000]),
        forMs: random.pick([700, 4_000, 20_000]),
      }
    default:
      return { kind: 'model-outage', forMs }
  }
}
