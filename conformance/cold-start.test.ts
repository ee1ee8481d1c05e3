// Tests requests to a model that is scaled to zero: they wait inside their deadlines while Knative's activator holds the
// calls. A stand-in replaces the activator. Limits: it holds calls until the test starts the pod, and nothing else.
import { afterEach, expect, test } from 'vitest'
import { runConnector } from './fixtures/connector.ts'
import { startMosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { json, text, type Answer } from './rig/answers.ts'
import { FakeModelServer } from './rig/model-server.ts'

const REQUESTS = 50
const BODY = '{"instances":[[1]]}'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** Holds all calls while the model has no pod. */
class Activator {
  readonly #held: (() => void)[] = []
  #isStarted = false
  /** The activator's own answer, instead of holding a call. */
  refusal: Answer | undefined

  readonly answer: Answer = (reply, call) => {
    const predict = (): void => json(200, { predictions: [1] })(reply, call)
    if (this.#isStarted) predict()
    else if (this.refusal === undefined) this.#held.push(predict)
    else this.refusal(reply, call)
  }

  readonly describe: Answer = (reply, call) => {
    const ready = (): void => json(200, { name: 'iris', ready: true })(reply, call)
    if (this.#isStarted) ready()
    else this.#held.push(ready)
  }

  /** Number of calls that are being held. */
  get held(): number {
    return this.#held.length
  }

  startPod(): void {
    this.#isStarted = true
    for (const answer of this.#held.splice(0)) answer()
  }
}

async function start(): Promise<{
  readonly activator: Activator
  readonly server: FakeModelServer
  readonly ask: (properties?: object) => ReturnType<TestClient['ask']>
  readonly metric: (name: string) => Promise<number>
}> {
  const activator = new Activator()
  const broker = await startMosquitto()
  closing.push(() => broker.stop())
  const server = await FakeModelServer.start({ answer: activator.answer, describe: activator.describe })
  closing.push(() => server.stop())
  const running = await runConnector({
    broker: { url: broker.url },
    models: {
      iris: { url: server.url, protocolVersion: 'v1', timeoutMs: 30_000, circuit: { failuresMax: 1 } },
    },
  })
  closing.push(() => running.connector.stop())
  const client = await TestClient.connect(broker.url)
  closing.push(() => client.close())
  await client.subscribe('infer/reply/#')
  return {
    activator,
    server,
    ask: (properties = {}) => client.ask('infer/request/cam/iris/predict', BODY, properties, 40_000),
    metric: async (name) => {
      const page = await (await fetch(`${running.connector.adminUrl}/metrics`)).text()
      const line = page.split('\n').find((each) => each.startsWith(`${name}{model="iris"`))
      return Number(line?.split(' ')[1] ?? 0)
    },
  }
}

test('requests to a model that is scaled to zero wait for its pod, and each of them is called once', async () => {
  const { activator, server, ask, metric } = await start()
  const replies = Array.from({ length: REQUESTS }, () => ask())
  // One call is the query for the card.
  await expect.poll(() => activator.held, { timeout: 20_000 }).toBeGreaterThan(1)
  const late = await ask({ messageExpiryInterval: 1 })
  expect(late.user).toMatchObject({ code: 'deadline_exceeded' })

  activator.startPod()
  for (const reply of await Promise.all(replies)) expect(reply.user).toMatchObject({ status: '200' })
  expect(server.calls('iris')).toBeLessThanOrEqual(REQUESTS + 1)
  expect(await metric('inferwire_upstream_retries_total')).toBe(0)
  expect(await metric('inferwire_upstream_circuit_opens_total')).toBe(0)
})

test.each<[string, Answer, string]>([
  ['its queue is full', text(503, 'text/plain', 'pending request queue full'), 'overloaded'],
  ['its wait is over', text(503, 'text/plain', 'context deadline exceeded'), 'model_not_ready'],
  ["the revision's time is over", text(504, 'text/plain', 'request timeout'), 'upstream_error'],
])(
  'a refusal of the activator during a cold start does not open the circuit: %s',
  async (_what, refusal, code) => {
    const { activator, ask, metric } = await start()
    activator.refusal = refusal
    expect((await ask()).user).toMatchObject({ code })
    expect(await metric('inferwire_upstream_circuit_opens_total')).toBe(0)
    activator.startPod()
    expect((await ask()).user).toMatchObject({ status: '200' })
  },
)
