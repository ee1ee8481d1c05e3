// Computes the verdict from the ledger of a run. Pure: no clock, no sockets.
import { BrokerKills, type BrokerKill } from './broker-kills.ts'
import { KIND, type Ledger, type WrongReply } from './ledger.ts'
import type { Violation } from './tap-checker.ts'

/** The input of the verdict. */
export interface Evidence {
  readonly ledger: Ledger
  readonly violations: readonly Violation[]
  /** Whether the run ended early: if so, unanswered requests prove nothing. @default false */
  readonly isCutShort?: boolean
}

/** An unanswered request, for the report. */
export interface UnansweredRequest {
  readonly number: number
  readonly publishedAtMs: number
  readonly pubackAtMs: number
  readonly replyTakenAtMs: number
  readonly kind: 'raw' | 'sdk'
  readonly calls: number
}

/** The counts of a run, and whether they meet the requirements. */
export interface Verdict {
  readonly hasFailed: boolean
  /** A sentence for each violated requirement. */
  readonly reasons: readonly string[]
  readonly requests: number
  /** Number of requests that the SDK sent. */
  readonly requestsSdk: number
  readonly answered: number
  readonly outcomes: Readonly<Record<string, number>>
  /** Number of acknowledged, unexpired, unanswered requests that no kill of the broker explains. */
  readonly unanswered: number
  /**
   * Number of acknowledged, unexpired, unanswered requests that a kill of the broker explains: the broker was killed
   * within a second of its PUBACK for the request or the reply.
   */
  readonly unansweredByBrokerKill: number
  readonly brokerKills: readonly BrokerKill[]
  readonly unansweredSdk: number
  /** Number of requests without a PUBACK whose client's session was lost: they may or may not be answered. */
  readonly indeterminate: number
  /** Number of requests that were unanswered when the run ended early. */
  readonly open: number
  /** Number of unanswered requests whose deadline was shorter than an outage. */
  readonly expired: number
  /**
   * Number of answers that arrived more than a second after the deadline. This is not a fault, because a frozen network
   * delivers late.
   */
  readonly late: number
  readonly crossed: number
  readonly phantom: number
  /** Number of parts and ends of streams that are not what the model server sent. */
  readonly altered: number
  /** Number of streams with a gap that the SDK passed on without an error; `gapsReported` = with an error. */
  readonly gapsUnseen: number
  readonly gapsReported: number
  /** Number of unanswered requests that received parts, but no final message. */
  readonly unfinished: number
  /** Number of messages of multi-part answers, excluding the final ones. */
  readonly parts: number
  /**
   * Number of answers that lack a part, or have a part beyond the final message, although no kill of the broker
   * explains it.
   */
  readonly torn: number
  /** Like `torn`, but the broker was killed while the answer was sent. */
  readonly tornByBrokerKill: number
  /** Number of replies beyond the first to a request, excluding the broker's redeliveries. */
  readonly duplicateReplies: number
  /** Number of replies that the broker redelivered (DUP). */
  readonly redeliveredReplies: number
  readonly calls: number
  /** Number of model calls beyond the first for a request. */
  readonly extraCalls: number
  readonly violations: number
  readonly firstUnanswered: readonly UnansweredRequest[]
  readonly firstWrongReplies: readonly WrongReply[]
  readonly firstViolations: readonly Violation[]
}

const LATE_GRACE_MS = 1000
// A request with a shorter deadline may expire in an outage (D1 b); all other deadlines are longer than any fault.
const EXCUSABLE_DEADLINE_MS = 10_000
const SHOWN_MAX = 10
// MQTT 5 §3.4.2.1: this reason code and all higher ones mean that the broker rejected the message.
const REFUSED = 0x80

/** Returns the verdict. Counts every request once. */
export function judge({ ledger, violations, isCutShort = false }: Evidence): Verdict {
  const kills = new BrokerKills(ledger.faults)
  const outcomes: Record<string, number> = {}
  const firstUnanswered: UnansweredRequest[] = []
  let requests = 0
  let requestsSdk = 0
  let unanswered = 0
  let unansweredByBrokerKill = 0
  let unansweredSdk = 0
  let indeterminate = 0
  let open = 0
  let expired = 0
  let late = 0
  let duplicateReplies = 0
  let redeliveredReplies = 0
  let unfinished = 0
  let torn = 0
  let tornByBrokerKill = 0
  let calls = 0
  let extraCalls = 0
  for (let number = 0; number < ledger.count; number++) {
    const publishedAtMs = ledger.publishedAtMs[number]!
    if (publishedAtMs === 0) continue
    requests += 1
    redeliveredReplies += ledger.redelivered[number]!
    calls += ledger.calls[number]!
    extraCalls += Math.max(0, ledger.calls[number]! - 1)
    duplicateReplies += Math.max(0, ledger.replies[number]! - 1)
    const tornAtMs = ledger.tornAtMs[number]!
    if (tornAtMs !== 0) {
      if (kills.isBetween(publishedAtMs, tornAtMs)) tornByBrokerKill += 1
      else torn += 1
    }
    const repliedAtMs = ledger.repliedAtMs[number]!
    const isSdk = ledger.kinds[number] === KIND.sdk
    const times = {
      publishedAtMs,
      pubackAtMs: ledger.pubackAtMs[number]!,
      replyTakenAtMs: ledger.replyTakenAtMs[number]!,
    }
    if (isSdk) requestsSdk += 1
    else kills.pass(times, repliedAtMs)
    if (repliedAtMs !== 0) {
      const outcome = ledger.outcomes[ledger.firstOutcomes[number]!]!
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      if (repliedAtMs > ledger.expiresAtMs[number]! + LATE_GRACE_MS) late += 1
      continue
    }
    if (isCutShort) open += 1
    else if (!isSdk && (times.pubackAtMs === 0 || ledger.pubackCodes[number]! >= REFUSED)) indeterminate += 1
    else if (!isSdk && ledger.expiresAtMs[number]! - publishedAtMs <= EXCUSABLE_DEADLINE_MS) expired += 1
    else if (!isSdk && kills.explain(times)) unansweredByBrokerKill += 1
    else {
      if (isSdk) unansweredSdk += 1
      else unanswered += 1
      if (ledger.nextParts[number]! > 0) unfinished += 1
      const kind = isSdk ? 'sdk' : 'raw'
      const facts = { number, ...times, kind, calls: ledger.calls[number]! } as const
      if (firstUnanswered.length < SHOWN_MAX) firstUnanswered.push(facts)
    }
  }
  const { crossed, phantom, altered, gap: gapsUnseen, gapsReported } = ledger
  const reasons = [
    [unanswered, 'requests that the broker had acknowledged were never answered'],
    [unansweredSdk, 'SDK requests ended neither with a reply nor at their deadline'],
    [crossed, "replies had another request's topic or answer"],
    [phantom, 'replies belonged to no request'],
    [altered, 'parts or ends of streams are not what the model server sent'],
    [gapsUnseen, 'streams had a gap that the SDK did not report'],
    [unfinished, 'streams had parts, but no final message'],
    [outcomes['internal'] ?? 0, 'requests were answered with the code internal'],
    [torn, 'answers lacked a part, or had one beyond the final message'],
    [violations.length, 'violations on the wire'],
  ] as const
  const found = reasons.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
  return {
    hasFailed: found.length > 0,
    reasons: found,
    requests,
    requestsSdk,
    answered: ledger.answered,
    outcomes,
    unanswered,
    unansweredByBrokerKill,
    brokerKills: kills.all,
    unansweredSdk,
    indeterminate,
    open,
    expired,
    late,
    crossed,
    phantom,
    altered,
    gapsUnseen,
    gapsReported,
    unfinished,
    parts: ledger.parts,
    torn,
    tornByBrokerKill,
    duplicateReplies,
    redeliveredReplies,
    calls,
    extraCalls,
    violations: violations.length,
    firstUnanswered,
    firstWrongReplies: ledger.wrongReplies.slice(0, SHOWN_MAX),
    firstViolations: violations.slice(0, SHOWN_MAX),
  }
}
