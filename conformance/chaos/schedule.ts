// Derives the list of faults and their times from a seed.
import { Random } from '../fixtures/random.ts'

/** The target of a fault. Faults of one actor never overlap; faults of different actors may overlap. */
export type Actor = 'connector' | 'broker' | 'upstream' | 'connector-network' | 'client-network'

/** The kinds of fault, with their relative frequencies. */
export const FAULT_WEIGHTS = {
  'connector-kill': 5,
  'connector-term': 3,
  'connector-stop': 3,
  'broker-term': 2,
  // With this weight, at least 200 of 1,000 faults kill the broker.
  'broker-kill': 11,
  'upstream-kill': 2,
  'upstream-hang': 2,
  'upstream-reset': 2,
  'upstream-503': 1,
  'upstream-slow': 1,
  'connector-cut': 2,
  'connector-reset': 2,
  'connector-reset-in-packet': 2,
  'connector-half-open-up': 1,
  'connector-half-open-down': 1,
  'connector-freeze': 1,
  'connector-latency': 1,
  'connector-slicer': 1,
  'connector-bandwidth': 1,
  'connector-slow-close': 1,
  'client-cut': 1,
  'client-reset': 1,
  'client-reset-in-packet': 1,
  'client-half-open': 1,
  'client-latency': 1,
  'client-slicer': 1,
} as const

/** The name of a fault. */
export type FaultKind = keyof typeof FAULT_WEIGHTS

/** One fault of a schedule; all times in milliseconds. */
export interface Fault {
  /** Time since the start of the load. */
  readonly atMs: number
  readonly kind: FaultKind
  /** Duration of the fault. */
  readonly forMs: number
  /** Number of bytes after which a connection is reset. */
  readonly bytes: number
}

/** Options of a schedule. */
export interface ScheduleOptions {
  readonly seed: number
  readonly faults: number
  /** Time over which the faults are spread. */
  readonly durationMs: number
  /** Maximum duration of freezes and outages; some must exceed 1.5 times the keep-alive. @default 4000 */
  readonly outageMsMax?: number
  /** Relative frequencies of the kinds of fault. @default FAULT_WEIGHTS */
  readonly weights?: Partial<Readonly<Record<FaultKind, number>>>
}

/** Creates a list of faults, sorted by time. The same options produce the same list. */
export function makeSchedule(options: ScheduleOptions): Fault[] {
  const { seed, faults, durationMs, outageMsMax = 4000, weights = FAULT_WEIGHTS } = options
  const random = new Random(seed)
  const spacing = durationMs / faults
  return Array.from({ length: faults }, (_, index) => {
    const kind = random.pickWeighted<FaultKind>(weights as Record<FaultKind, number>)
    const atMs = Math.round((index + random.next()) * spacing)
    // Most faults are short and some are long; if all were long, there would be no time left for requests.
    const share = random.next() ** 3
    return { atMs, kind, forMs: Math.round(50 + share * (outageMsMax - 50)), bytes: random.between(1, 400) }
  })
}

/** Returns the actor that a fault hits. */
export function actorOf(kind: FaultKind): Actor {
  if (kind.startsWith('broker')) return 'broker'
  if (kind.startsWith('upstream')) return 'upstream'
  if (kind.startsWith('client')) return 'client-network'
  return ['connector-kill', 'connector-term', 'connector-stop'].includes(kind)
    ? 'connector'
    : 'connector-network'
}

/**
 * Finds a shorter schedule that still fails: tries each half, continues with a half that fails, and then omits one
 * piece after another. `fails` runs a schedule. If a run passes by chance, the schedule found is only longer.
 */
export async function shrinkSchedule(
  schedule: readonly Fault[],
  fails: (candidate: readonly Fault[]) => Promise<boolean>,
): Promise<readonly Fault[]> {
  let current = schedule
  for (let pieces = 2; current.length > 1 && pieces <= current.length * 2;) {
    const size = Math.max(1, Math.ceil(current.length / pieces))
    const chunks = Array.from({ length: Math.ceil(current.length / size) }, (_, index) =>
      current.slice(index * size, (index + 1) * size),
    )
    const whole = current
    const candidates =
      pieces === 2 ? chunks : chunks.map((chunk) => whole.filter((fault) => !chunk.includes(fault)))
    const smaller = await firstThat(candidates, fails)
    if (smaller === undefined) pieces *= 2
    else {
      current = smaller
      pieces = 2
    }
  }
  return current
}

async function firstThat(
  candidates: readonly (readonly Fault[])[],
  fails: (candidate: readonly Fault[]) => Promise<boolean>,
): Promise<readonly Fault[] | undefined> {
  for (const candidate of candidates) if (candidate.length > 0 && (await fails(candidate))) return candidate
  return undefined
}
