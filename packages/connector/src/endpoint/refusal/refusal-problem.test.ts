// Tests that each refusal is repeated, and counts for the circuit, as its table entry says.
import { expect, test } from 'vitest'
import { UpstreamFigures } from '../../telemetry/index.ts'
import { createLog } from '../../telemetry/index.ts'
import type { EndpointRequest } from '../../step.ts'
import { Circuit, type CircuitOptions } from '../circuit.ts'
import { RetryBudget } from '../retry-budget.ts'
import { withBreaker } from '../with-breaker.ts'
import { withRetry } from '../with-retry.ts'
import { refusalProblem } from './refusal-problem.ts'
import { REFUSALS, type RefusalKind, type RefusalName } from './refusals.ts'

const NAMES = Object.keys(REFUSALS) as RefusalName[]
const KINDS: Readonly<Record<RefusalName, RefusalKind>> = REFUSALS
const ATTEMPTS_MAX = 3
const GOOD = { status: 200, body: Buffer.from('{}'), contentType: 'application/json' } as const
const RESPONSE = { ...GOOD, inferenceHeaderContentLength: undefined }

function request(): EndpointRequest {
  return {
    body: Buffer.from('{}'),
    contentType: 'application/json',
    inferenceHeaderContentLength: undefined,
    headers: [],
    deadline: { atMs: performance.now() + 60_000, problem: undefined, waiting: undefined },
    emit: undefined,
  }
}

interface RigOptions extends Partial<CircuitOptions> {
  readonly isRepeatable?: boolean
  readonly attemptsMax?: number
}

/** A model server behind a gateway that refuses calls while `refusal` is set. */
function rig({ isRepeatable = true, attemptsMax = ATTEMPTS_MAX, ...circuitOptions }: RigOptions = {}): {
  readonly figures: UpstreamFigures
  readonly circuit: Circuit
  refusal: RefusalName | undefined
  retryAfterMs: number | undefined
  calls: number
  ask: () => Promise<unknown>
} {
  const figures = new UpstreamFigures('m')
  const log = createLog({ level: 'error', format: 'json' }, { write: () => undefined })
  const limits = { failuresMax: 1, openMinMs: 60_000, openMaxMs: 60_000, timeoutMinMs: 1_000, probesMax: 1 }
  const circuit = new Circuit({ ...limits, ...circuitOptions, model: 'm', url: 'http://m', log, figures })
  const state = {
    figures,
    circuit,
    refusal: undefined as RefusalName | undefined,
    retryAfterMs: undefined as number | undefined,
    calls: 0,
    ask: () => endpoint.call(request()),
  }
  const bare = {
    call: () => {
      state.calls += 1
      const { refusal, retryAfterMs } = state
      if (refusal === undefined) return Promise.resolve(RESPONSE)
      return Promise.reject(refusalProblem(refusal, { detail: 'x', retryAfterMs }))
    },
  }
  const retry = { attemptsMax, minMs: 1, maxMs: 2, isRepeatable, random: () => 0 }
  const budget = new RetryBudget(100, performance.now() - 60_000)
  const endpoint = withBreaker(withRetry(bare, { ...retry, budget, figures }), circuit)
  return state
}

const CALLS: Readonly<Record<RefusalKind['retry'], number>> = {
  never: 1,
  'new-token': 1,
  later: 1,
  once: 2,
  'back-off': ATTEMPTS_MAX,
  'retry-after': 1,
}

test.each(NAMES)('%s is repeated according to its entry, and every refused call is counted', async (name) => {
  const { retry, code, sentence, remedy } = KINDS[name]
  const state = rig()
  state.refusal = name
  await expect(state.ask()).rejects.toMatchObject({ code, message: sentence, refusal: { name, remedy } })
  expect(state.calls).toBe(CALLS[retry])
  expect(state.figures.refusals).toEqual(new Map([[name, CALLS[retry]]]))
})

test.each(NAMES.filter((name) => KINDS[name].mayHaveRun))(
  '%s is not repeated for a model with repeatable: false',
  async (name) => {
    const state = rig({ isRepeatable: false })
    state.refusal = name
    await expect(state.ask()).rejects.toMatchObject({ code: KINDS[name].code })
    expect(state.calls).toBe(1)
  },
)

test.each(NAMES)('%s counts for the circuit according to its entry', async (name) => {
  const { countsForCircuit } = KINDS[name]
  const cold = rig()
  cold.refusal = name
  await cold.ask().catch(() => undefined)
  expect(cold.circuit.isOpen).toBe(countsForCircuit === 'yes')

  const warm = rig()
  await warm.ask()
  warm.refusal = name
  await warm.ask().catch(() => undefined)
  expect(warm.circuit.isOpen).toBe(countsForCircuit !== 'no')
})

test("a gateway's refusal does not prove that the model runs", async () => {
  const state = rig()
  for (const refusal of ['token_expired', 'no_pod'] as const) {
    state.refusal = refusal
    await state.ask().catch(() => undefined)
  }
  expect(state.circuit.isOpen).toBe(false)
})

test.each(NAMES)('%s closes no open circuit, and starts no new count of failures', async (name) => {
  const open = rig({ attemptsMax: 1, openMinMs: 0, openMaxMs: 0 })
  open.refusal = 'connect_timeout'
  await open.ask().catch(() => undefined)
  expect(open.circuit.isOpen).toBe(true)
  open.refusal = name
  await open.ask().catch(() => undefined)
  expect(open.circuit.isOpen).toBe(true)

  const closed = rig({ attemptsMax: 1, failuresMax: 2 })
  for (const refusal of ['connect_timeout', name, 'connect_timeout'] as const) {
    closed.refusal = refusal
    await closed.ask().catch(() => undefined)
  }
  expect(closed.circuit.isOpen).toBe(true)
})

test('a full gateway that sends Retry-After is called again only after that time', async () => {
  const state = rig()
  state.refusal = 'rate_limited'
  state.retryAfterMs = 1
  await expect(state.ask()).rejects.toMatchObject({ retryAfterMs: 1, retryable: true })
  expect(state.calls).toBe(ATTEMPTS_MAX)
  // The configuration allows only shorter waits.
  state.retryAfterMs = 60_000
  state.calls = 0
  await expect(state.ask()).rejects.toMatchObject({ retryAfterMs: 60_000 })
  expect(state.calls).toBe(1)
})

test('only refusals that pass by themselves are retryable for the client', () => {
  const retryable = NAMES.filter((name) => refusalProblem(name, { detail: 'x' }).retryable)
  expect(retryable.toSorted()).toEqual([
    'connect_timeout',
    'connection_closed',
    'connection_reset',
    'gateway_error_page',
    'gateway_full',
    'gateway_timeout',
    'gateway_unavailable_page',
    'login_service_down',
    'mtls_required',
    'no_pod',
    'no_route',
    'pod_unreachable',
    'queue_full',
    'queue_timeout',
    'rate_limited',
    'revision_timeout',
    'tls_mismatch',
    'token_keys_unknown',
    'token_not_yet_valid',
  ])
})

test('every refusal has a sentence without addresses, and a remedy', () => {
  for (const { sentence, remedy, mark } of Object.values(KINDS)) {
    expect(sentence).toMatch(/^[A-Z].*\.$/)
    expect(sentence).not.toMatch(/https?:|`|models\.\*/)
    expect(remedy).toMatch(/^[A-Z].*\.$/)
    expect(mark).not.toBe('')
  }
})
