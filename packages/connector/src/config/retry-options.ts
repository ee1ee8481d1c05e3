// The options of a model whose server fails: when a call is tried again, and when the server is left alone.
import { z } from 'zod'
import { integer, option } from './option.ts'

/** `models.*.retry` */
export const retry = z.strictObject({
  attemptsMax: integer(
    { min: 1, max: 10, default: 3 },
    undefined,
    'Calls per request in total, the first one included; 1 = no retry. Retried are connection failures, 502, 503, 504, a 400 or 404 that says that the model is loading or not loaded, and 429 with a Retry-After. A server that is full is not called again.',
  ),
  minMs: integer({ min: 0, max: 60_000, default: 50 }, 'ms', 'Longest wait before the second call.'),
  maxMs: integer(
    { min: 0, max: 60_000, default: 2_000 },
    'ms',
    'Longest wait before any call. A server that asks for more (Retry-After) is not called again: the time to wait goes to the client.',
  ),
})

/** `models.*.circuit` */
export const circuit = z.strictObject({
  failuresMax: integer(
    { min: 0, max: 10_000, default: 5 },
    undefined,
    'Failures in a row after which requests are answered `circuit_open` at once; 0 = never.',
  ),
  openMinMs: integer(
    { min: 1, max: 600_000, default: 200 },
    'ms',
    'Longest time until the first request that tries the server again.',
  ),
  openMaxMs: integer(
    { min: 1, max: 600_000, default: 1_000 },
    'ms',
    'Longest time between two requests that try it: a server that is back is noticed after this.',
  ),
  timeoutMinMs: option(
    z
      .int({ error: 'a whole number from 1 to 3600000' })
      .min(1, { error: 'a whole number from 1 to 3600000' })
      .max(3_600_000, { error: 'a whole number from 1 to 3600000' })
      .optional(),
    {
      description:
        'A time-out counts as a failure when the server answered no request for at least this long; shorter deadlines are the choice of a client.',
      unit: 'ms',
      defaultText: '90 % of timeoutMs',
    },
  ),
})
