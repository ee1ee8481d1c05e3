// The options that determine how failures of a model's server are handled: when a call is retried, and when the circuit
// opens.
import { z } from 'zod'
import { advanced, integer, option } from './option.ts'

const TIMEOUT_MIN_EXPECTED = 'a whole number from 1 to 3600000'

/** The section `models.*.retry`. */
export const retry = z.strictObject({
  attemptsMax: advanced(
    integer(
      { min: 1, max: 10, default: 3 },
      undefined,
      'Maximum number of calls per request, including the first; 1 = no retry.',
      'A call is retried after a connection failure, a 502, 503 or 504, a 400 or 404 whose text reports that the model is loading or not loaded, and a 429 with Retry-After. A server that reports a full queue is not called again.',
    ),
  ),
  minMs: advanced(
    integer(
      { min: 0, max: 60_000, default: 50 },
      'ms',
      'Upper bound of the random wait before the second call; it doubles before each further call.',
    ),
  ),
  maxMs: advanced(
    integer(
      { min: 0, max: 60_000, default: 2_000 },
      'ms',
      'Upper bound of the random wait before any retry.',
      "If the server's Retry-After is longer, the call is not repeated, and the reply to the client contains the time to wait.",
    ),
  ),
})

/** The section `models.*.circuit`. */
export const circuit = z.strictObject({
  failuresMax: advanced(
    integer(
      { min: 0, max: 10_000, default: 5 },
      undefined,
      'Number of consecutive failures after which requests are answered with `circuit_open` at once; 0 = never.',
    ),
  ),
  openMinMs: advanced(
    integer(
      { min: 1, max: 600_000, default: 200 },
      'ms',
      'Upper bound of the random wait before the first request that probes the server.',
    ),
  ),
  openMaxMs: advanced(
    integer(
      { min: 1, max: 600_000, default: 1_000 },
      'ms',
      'Longest time between two probes; a recovered server is detected within this time.',
    ),
  ),
  timeoutMinMs: advanced(
    option(
      z
        .int({ error: TIMEOUT_MIN_EXPECTED })
        .min(1, { error: TIMEOUT_MIN_EXPECTED })
        .max(3_600_000, { error: TIMEOUT_MIN_EXPECTED })
        .optional(),
      {
        description:
          'A timeout counts as a failure only if the server has answered no request for at least this long.',
        details:
          'Clients may set shorter deadlines; if such a deadline passes, the server has not necessarily failed.',
        unit: 'ms',
        defaultText: '90 % of `timeoutMs`',
      },
    ),
  ),
})
