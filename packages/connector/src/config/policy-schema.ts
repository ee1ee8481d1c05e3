// The `policy` section: which client may use which operations of which model, and within which limits.
import { OPERATIONS, type OperationName } from '@inferwire/protocol'
import { z } from 'zod'
import { option } from './option.ts'
import { glob, MIB } from './schema-parts.ts'

const OPERATION_NAMES = Object.keys(OPERATIONS) as OperationName[]
const PRIORITY_EXPECTED = 'a whole number from 0 to 9'
const BYTES_MAX = 256 * MIB
const BYTES_EXPECTED = `a whole number from 1 to ${BYTES_MAX}`
const PER_SECOND_MAX = 1_000_000
const PER_SECOND_EXPECTED = `a number above 0, at most ${PER_SECOND_MAX}`
const BURST_MAX = 1_000_000
const BURST_EXPECTED = `a whole number from 1 to ${BURST_MAX}`

const rate = z.strictObject({
  requestsPerSecond: option(
    z
      .number({ error: PER_SECOND_EXPECTED })
      .positive({ error: PER_SECOND_EXPECTED })
      .max(PER_SECOND_MAX, { error: PER_SECOND_EXPECTED }),
    { description: 'Maximum number of requests per second from each client that the rule matches.' },
  ),
  burst: option(
    z
      .int({ error: BURST_EXPECTED })
      .min(1, { error: BURST_EXPECTED })
      .max(BURST_MAX, { error: BURST_EXPECTED })
      .optional(),
    {
      description: 'Number of requests that a client may send at once after a pause.',
      defaultText: "one second's worth, at least 1",
    },
  ),
})

const rule = z.strictObject({
  clients: option(z.array(glob).min(1), { description: 'Names of clients; `*` matches any characters.' }),
  models: option(z.array(glob).min(1), {
    description: 'Names of models in topics, including `{model}@{version}`; `*` matches any characters.',
  }),
  operations: option(z.array(z.enum(OPERATION_NAMES)).min(1).optional(), {
    description: 'Operations that the rule allows.',
    defaultText: 'all operations',
  }),
  priorityMax: option(
    z
      .int({ error: PRIORITY_EXPECTED })
      .min(0, { error: PRIORITY_EXPECTED })
      .max(9, { error: PRIORITY_EXPECTED })
      .optional(),
    { description: 'Highest `priority` of a request.', defaultText: '`4`' },
  ),
  requestBytesMax: option(
    z
      .int({ error: BYTES_EXPECTED })
      .min(1, { error: BYTES_EXPECTED })
      .max(BYTES_MAX, { error: BYTES_EXPECTED })
      .optional(),
    {
      description: 'Largest body of a request that the rule allows.',
      unit: 'bytes',
      defaultText: "the model's limit",
    },
  ),
  rate: option(rate.optional(), {
    description: 'How many requests the rule allows to each client.',
    defaultText: 'no limit',
  }),
})

/** The `policy` section. */
export const policy = z.strictObject({
  allow: option(z.array(rule).max(1000), {
    description: 'The rules. A request runs if one of them allows it; an empty list forbids everything.',
  }),
  showForbidden: option(z.boolean().default(false), {
    description: 'Whether a client learns that the policy forbids a request (`forbidden_model`).',
  }),
})
