// Whatever the server sends and however it fails, the consumer has the server's objects in the end.
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { KubeApi } from './kube-api.ts'
import type { KubeObject } from './kube-object.ts'
import { ResourceWatch } from './resource-watch.ts'
import { ApiServer, WIDGETS, type Fault } from './testing/api-server.ts'
import { Consumer, FAST, plainTarget } from './testing/consumer.ts'

const OBJECT_BYTES_MAX = 2_000

const name = fc.constantFrom('a', 'b', 'c')
const namespace = fc.constantFrom('one', 'two')
const fault = fc.oneof(
  fc.constantFrom(400, 401, 403, 404, 410, 429, 500, 503, 504).map((status): Fault => ({ status })),
  fc.nat(800).map((cutAfterBytes): Fault => ({ cutAfterBytes })),
  fc
    .constantFrom('', '{}', '<html>', '{"items":[{}', '{"items":[],"metadata":{}}')
    .map((body): Fault => ({ body })),
)
// Lines that identify no object; such a line about an object would truly take it away.
const badLine = fc.constantFrom(
  'hello\n',
  '\n',
  '{}\n',
  `"${'x'.repeat(3_000)}"\n`,
  '{"type":"ERROR","object":{"code":410}}\n',
  '{"type":"ERROR","object":{"code":500}}\n',
  '{"type":"BOOKMARK","object":{}}\n',
)

type Step = (server: ApiServer) => void | Promise<void>

const changes: fc.Arbitrary<(server: ApiServer) => void> = fc
  .tuple(namespace, name, fc.constantFrom('put', 'put', 'delete', 'delete', 'large'), fc.nat(50))
  .map(([where, which, kind, size]) => (server) => {
    if (kind === 'delete') server.delete(where, which)
    else if (kind === 'large') server.put(where, which, { spec: 'x'.repeat(2 * OBJECT_BYTES_MAX) })
    else server.put(where, which, { spec: 'é"\\{['.repeat(size) })
  })

// The watch does not see these changes; after a compaction, only a list shows them.
const outage: fc.Arbitrary<Step> = fc
  .tuple(fc.array(changes, { minLength: 1, maxLength: 8 }), fc.boolean())
  .map(([missed, isCompacted]) => async (server) => {
    await server.stop()
    for (const change of missed) change(server)
    if (isCompacted) server.compact()
    await server.start()
  })

const pause: fc.Arbitrary<Step> = fc.nat(10).map((turns) => async () => {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setTimeout(resolve, 1))
})

const others: fc.Arbitrary<Step> = fc.constantFrom<Step[]>(
  (server) => server.compact(),
  (server) => server.bookmark(),
  (server) => server.endWatches(),
  (server) => server.cutWatches(),
  (server) => server.cutWatches('{"type":"ADDED","object":{"metadata":{"name":"a'),
  (server) => void (server.isGoneAStatus = !server.isGoneAStatus),
)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: changes },
  { weight: 6, arbitrary: outage },
  { weight: 3, arbitrary: fault.map((each) => (server: ApiServer) => void server.faults.push(each)) },
  { weight: 1, arbitrary: badLine.map((line) => (server: ApiServer) => server.sendRaw(line)) },
  { weight: 5, arbitrary: others },
  { weight: 8, arbitrary: pause },
)

test('the consumer has the objects of the server in the end', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 40 }),
      fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 10 }),
      async (steps, sizes) => {
        const server = new ApiServer()
        await server.start()
        server.split = (bytes) => chunks(bytes, sizes)
        const api = new KubeApi(plainTarget(server.url), { pageSize: 3, objectBytesMax: OBJECT_BYTES_MAX })
        const consumer = new Consumer()
        const watch = new ResourceWatch(api, { kind: WIDGETS, handlers: consumer, pace: FAST })
        try {
          for (const run of steps) await run(server)
          // The watch still works: it reports one more change.
          server.put('one', 'last')
          await vi.waitFor(() => expect(consumer.objects).toEqual(readable(server.objects)), {
            timeout: 20_000,
            interval: 2,
          })
        } finally {
          await watch.stop()
          await api.close()
          await server.stop()
        }
        // The consumer throws if an object is deleted that it does not have.
        expect(consumer.skips.filter(({ error }) => error.reason === 'InternalError')).toEqual([])
      },
    ),
    // After a failure, each attempt with a smaller input takes as long as the wait.
    { numRuns: 40, interruptAfterTimeLimit: 100_000 },
  )
})

const readable = (objects: ReadonlyMap<string, KubeObject>): ReadonlyMap<string, KubeObject> =>
  new Map([...objects].filter(([, object]) => JSON.stringify(object).length < OBJECT_BYTES_MAX))

function chunks(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const parts: Buffer[] = []
  for (let from = 0, index = 0; from < bytes.length; index += 1) {
    const size = sizes[index % sizes.length]!
    parts.push(bytes.subarray(from, from + size))
    from += size
  }
  return parts
}
