// The planted bugs: faults of a connector that the checkers must detect. A run without findings is meaningful only
// because the checkers detect all of these bugs. Chaos runs plant bugs in the built connector; the simulation
// plants bugs in the sources.

/**
 * A bug, and the checks of each harness that detect it; any one check is enough. A harness whose checks are absent does
 * not plant the bug.
 */
interface PlantedBug {
  /** Description of the bug, which completes "a connector that ...". */
  readonly what: string
  /** Rules of the tap, or `unanswered`, `crossed` and other counts of the chaos verdict. */
  readonly chaos?: readonly string[]
  /** Rule of the simulation's verdict. */
  readonly simulation?: string
}

/** All planted bugs by name. */
export const PLANTED_BUGS = {
  'ack-on-receipt': {
    what: 'acknowledges a request on receipt',
    chaos: ['ack-before-reply'],
    simulation: 'D1',
  },
  'ack-before-reply-puback': {
    what: 'acknowledges a request before the broker has acknowledged its reply',
    chaos: ['ack-before-reply'],
    simulation: 'D1',
  },
  'ack-out-of-order': {
    what: 'acknowledges requests out of order',
    chaos: ['ack-order'],
    simulation: 'D3',
  },
  'ack-of-old-epoch': {
    what: 'acknowledges a delivery from an earlier connection',
    // If the request is redelivered before the late PUBACK, its identifier is open again, so the PUBACK counts as out
    // of order.
    chaos: ['ack-stale-epoch', 'ack-order'],
    simulation: 'D3',
  },
  'ack-of-older-identifier': {
    what: 'acknowledges the wrong request when a Packet Identifier is reused',
    simulation: 'ack-wrap',
  },
  'clean-start': {
    what: 'starts every connection with a clean session',
    chaos: ['unanswered'],
    simulation: 'D2',
  },
  'swapped-correlation': {
    what: "sends a reply with another request's Correlation Data",
    // Detected by the client that receives the reply, or on the wire: the request is acknowledged without its reply.
    chaos: ['phantom', 'crossed', 'ack-before-reply'],
    simulation: 'D4',
  },
  'wrong-reply-topic': { what: 'publishes a reply to the wrong topic', simulation: 'D4' },
  'outside-reply-subtree': { what: 'publishes outside the reply subtree', simulation: 'subtree' },
  'ignored-expiry': { what: 'ignores the Message Expiry Interval', simulation: 'D6' },
  'duplicate-key-without-client': {
    what: 'sends two clients the same answer if their requests have the same Correlation Data',
    chaos: ['crossed'],
  },
  'forgotten-duplicates': { what: 'does not remember which requests it has executed', simulation: 'D5' },
  'drop-on-reconnect': {
    what: 'drops its requests and replies in flight when the connection is lost',
    chaos: ['unanswered'],
  },
  'lost-delivery': { what: 'loses a delivery', simulation: 'rest' },
  'settle-after-first-part': {
    what: 'acknowledges a request after the first part of its answer',
    simulation: 'D1',
  },
  'part-after-final': { what: 'publishes a part after the final message', simulation: 'part-after-final' },
  'lost-part': {
    what: 'loses a part of an answer',
    chaos: ['part-order', 'torn'],
    simulation: 'part-order',
  },
  'skipped-part': {
    what: 'loses a part of an answer, and numbers the other parts without a gap',
    chaos: ['altered'],
    simulation: 'part-content',
  },
  'crossed-part': {
    what: 'sends a part of the answer to another request',
    chaos: ['crossed', 'altered'],
    simulation: 'D4',
  },
  'stream-without-final': {
    what: 'never sends the final message of a multi-part answer',
    // Detected when the request is acknowledged; otherwise, the client receives parts and no final message.
    chaos: ['ack-before-reply', 'part-order', 'unfinished'],
    simulation: 'D1',
  },
  'break-as-end': { what: 'reports a broken stream as complete', chaos: ['altered'] },
  'swapped-members': {
    what: 'swaps the answers to requests that share a call',
    chaos: ['crossed'],
    simulation: 'D4',
  },
  'too-many-shared-calls': {
    what: 'exceeds the limit of concurrent calls of a model, if requests share calls',
    simulation: 'concurrency',
  },
  'restarted-stream': {
    what: 'restarts a multi-part answer when the request is redelivered',
    simulation: 'stream-restart',
  },
  'ack-without-safekeeping': {
    what: 'acknowledges a request without putting it in safekeeping',
    simulation: 'D1',
  },
} as const satisfies Readonly<Record<string, PlantedBug>>

type BugName = keyof typeof PLANTED_BUGS

/** Names of the bugs that the simulation plants. */
export type SimulatedBug = {
  [Name in BugName]: (typeof PLANTED_BUGS)[Name] extends Record<'simulation', unknown> ? Name : never
}[BugName]

/** Returns the bugs that a harness plants, with the names of the checks that detect them. */
export function bugsIn(harness: 'chaos' | 'simulation'): readonly (PlantedBug & { readonly name: string })[] {
  return Object.entries(PLANTED_BUGS).flatMap(([name, bug]: [string, PlantedBug]) =>
    bug[harness] === undefined ? [] : [{ name, ...bug }],
  )
}
