// The rows, in the order of the table: one line each.
import type { NamedRow, Row } from './row.ts'
import { connectStorm, duplicates, loudClient, slowSubscribers } from './rows/clients.ts'
import { overload, overloadWithDefaults } from './rows/overload.ts'
import { refusedReplies } from './rows/refused.ts'
import { clientIdClash, poison, replicas, retainedRequest } from './rows/session.ts'
import { bombs, upstreamDies, upstreamMisbehaves } from './rows/upstream.ts'

/** Rows that run. */
export const ROWS: readonly Row[] = [
  upstreamMisbehaves,
  upstreamDies,
  bombs,
  overload,
  overloadWithDefaults,
  loudClient,
  connectStorm,
  slowSubscribers,
  duplicates,
  refusedReplies,
  poison,
  clientIdClash,
  retainedRequest,
  replicas,
]

/** Rows that cannot run here. */
export const NAMED_ROWS: readonly NamedRow[] = []
