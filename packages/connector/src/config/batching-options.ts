// The option of a model for merging concurrent requests into fewer calls.
import { z } from 'zod'
import { advanced, integer, option } from './option.ts'

const SIZE_MAX = 1024
const DELAY_MAX_MS = 1_000
const EXPECTED = 'off, auto, or a map with sizeMax and delayMaxMs'

/** The limits of `batching: auto`. */
export const AUTO_BATCHING = { sizeMax: 64, delayMaxMs: 10 } as const

const merged = z.strictObject({
  sizeMax: integer(
    { min: 2, max: SIZE_MAX, default: 32 },
    undefined,
    'Largest number of instances (V1) or rows (V2) in a call.',
  ),
  delayMaxMs: integer(
    { min: 0, max: DELAY_MAX_MS, default: 0 },
    'ms',
    'How long a request waits for others; 0 = it waits only for a free call.',
  ),
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
      details: `With a map, requests that are received together, or that wait for a free call, share a call; requests only have to wait if \`limits.concurrency\` is low enough. With \`delayMaxMs\` above 0, every request also waits for others. \`auto\` merges at most ${AUTO_BATCHING.sizeMax} instances, and learns from the duration of the calls for how long a wait is worthwhile, up to ${AUTO_BATCHING.delayMaxMs} ms; a request never waits while no call runs. See the [guide](../guides/batching.md).`,
    },
  ),
)
