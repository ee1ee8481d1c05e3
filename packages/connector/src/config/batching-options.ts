// The option of a model for merging concurrent requests into fewer calls.
import { z } from 'zod'
import { advanced, option } from './option.ts'

const SIZE_MAX = 1024
const DELAY_MAX_MS = 1_000
const EXPECTED = 'off, auto, or a map with sizeMax and delayMaxMs'

/** The limits of `batching: auto`. */
export const AUTO_BATCHING = { sizeMax: 64, delayMaxMs: 10 } as const

const sizeExpected = `a whole number from 2 to ${SIZE_MAX}`
const delayExpected = `a whole number from 0 to ${DELAY_MAX_MS}`

const merged = z.strictObject({
  sizeMax: z
    .int({ error: sizeExpected })
    .min(2, { error: sizeExpected })
    .max(SIZE_MAX, { error: sizeExpected })
    .default(32),
  delayMaxMs: z
    .int({ error: delayExpected })
    .min(0, { error: delayExpected })
    .max(DELAY_MAX_MS, { error: delayExpected })
    .default(0),
})

/** The option `models.*.batching`. */
export const batching = advanced(
  option(
    z
      .union([z.enum(['off', 'auto'], { error: EXPECTED }), merged], {
        error: ({ code }) => (code === 'invalid_union' ? EXPECTED : undefined),
      })
      .default('off'),
    {
      description:
        'Merges concurrent requests of all clients into one call: `off`, `auto`, or `sizeMax` and `delayMaxMs`.',
      details: `\`sizeMax\` (2 to ${SIZE_MAX}, default 32) is the largest number of instances or rows in a call. \`delayMaxMs\` (0 to ${DELAY_MAX_MS}, default 0) is how long a request waits for others; with 0, only requests that are received together or that wait for a free call share one, so \`limits.concurrency\` must be low enough. \`auto\` merges at most ${AUTO_BATCHING.sizeMax} instances, and learns from the duration of the calls how long waiting pays, up to ${AUTO_BATCHING.delayMaxMs} ms; it never waits while no call runs. See the [guide](../guides/batching.md).`,
    },
  ),
)
