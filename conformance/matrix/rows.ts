// Lists all rows in the order of the table.
import type { NamedRow, Row } from './row.ts'
import { brokerDiskFull, brokerKill, brokerQueueFull } from './rows/broker.ts'
import { CHAOS_ROWS } from './rows/chaos.ts'
import { connectStorm, duplicates, loudClient, slowSubscribers } from './rows/clients.ts'
import { clockJump, memoryLimit } from './rows/machine.ts'
import { overload, overloadWithDefaults } from './rows/overload.ts'
import { refusedReplies } from './rows/refused.ts'
import { clientIdClash, poison, replicas, retainedRequest } from './rows/session.ts'
import { bombs, upstreamDies, upstreamMisbehaves } from './rows/upstream.ts'

/** Rows that run. */
export const ROWS: readonly Row[] = [
  ...CHAOS_ROWS,
  brokerKill,
  brokerDiskFull,
  brokerQueueFull,
  upstreamMisbehaves,
  upstreamDies,
  bombs,
  clockJump,
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
  memoryLimit,
  replicas,
]

/** Rows that cannot run here. */
export const NAMED_ROWS: readonly NamedRow[] = [
  {
    name: 'broker-kill-2.1',
    what: 'kill -9 of Mosquitto 2.1 with the persist_sqlite plugin (flush_period 0, sync extra)',
    criterion: '0 unanswered SDK requests; unanswered raw requests <= requests in flight at the kills',
    reason: 'Debian 12 has Mosquitto 2.0.11, which does not have that plugin',
  },
  {
    name: 'broker-power-loss',
    what: "the broker's machine loses power: data that the kernel has not written to disk is lost",
    criterion: '0 unanswered SDK requests',
    reason: 'a test cannot cut the power; broker-kill is the closest row',
  },
  {
    name: 'replicas-redistributing',
    what: 'one of 3 connectors is killed, 100 times, on a broker that redistributes the requests of the killed connector (ActiveMQ Artemis)',
    criterion: 'every request answered within the session expiry plus the restart time',
    reason: 'the tests install only Mosquitto, which never redistributes',
  },
]
