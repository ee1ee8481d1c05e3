// Tests that a server that ignores versions receives no request for a version.
import { afterEach, expect, test } from 'vitest'
import type { EndpointResponse, Upstream } from '../../step.ts'
import { MESSAGES } from './inference-proto.ts'
import { answer, refuse, startGrpcServer, type GrpcServer, type ServedCall } from './testing/grpc-server.ts'
import { deadlineIn, jsonRequest, openTestUpstream } from './testing/open-upstream.ts'
import { ABSENT_VERSION } from './version-check.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** What the server does with a query for the metadata of a version; an empty version is the default. */
type Describe = (call: ServedCall, version: string) => void

const METADATA = MESSAGES.metadata.encode({
  name: 'iris',
  versions: [],
  platform: '',
  inputs: [],
  outputs: [],
})
const ANSWERS: Readonly<Record<string, Buffer>> = {
  ModelInfer: MESSAGES.response.encode({
    model_name: 'iris',
    model_version: '',
    id: '',
    parameters: {},
    outputs: [],
    raw_output_contents: [],
  }),
  ModelReady: MESSAGES.ready.encode({ ready: true }),
}
const describe: Describe = (call) => answer(call, [METADATA])
const unknown = (call: ServedCall): void => refuse(call, 5, 'Model not known')
const honour: Describe = (call, version) =>
  version === ABSENT_VERSION ? unknown(call) : describe(call, version)
const methodOf = ({ headers }: ServedCall): string => headers[':path']!.split('/')[2]!

async function serving(first: Describe): Promise<{
  server: GrpcServer
  upstream: Upstream
  become: (next: Describe) => void
}> {
  let current = first
  const server = await startGrpcServer((call) => {
    const method = methodOf(call)
    if (method === 'ModelMetadata') return current(call, MESSAGES.modelRequest.decode(call.message).version)
    const message = ANSWERS[method]
    return message === undefined ? refuse(call, 12, 'Method not found!') : answer(call, [message])
  })
  const upstream = openTestUpstream(server.url, { versions: ['1'] })
  closing.push(
    () => upstream.destroy(),
    () => server.stop(),
  )
  return { server, upstream, become: (next) => (current = next) }
}

const BODY = '{"inputs":[]}'
const call = (
  upstream: Upstream,
  operation: 'infer' | 'metadata' | 'ready' = 'infer',
  version: string | undefined = '1',
): Promise<EndpointResponse> => upstream.endpoint(operation, 'v2', version)!.call(jsonRequest(BODY))
const countOf = ({ calls }: GrpcServer, method: string): number =>
  calls.filter((each) => methodOf(each) === method).length
const IGNORED = {
  code: 'upstream_error',
  status: 501,
  retryable: false,
  message: expect.stringContaining('ignores versions') as string,
}

test.each(['infer', 'metadata', 'ready'] as const)(
  'if the server ignores versions, %s of a version is rejected and the model is not called',
  async (operation) => {
    const { server, upstream } = await serving(describe)
    await expect(call(upstream, operation)).rejects.toMatchObject(IGNORED)
    expect([countOf(server, 'ModelInfer'), countOf(server, 'ModelReady')]).toEqual([0, 0])
  },
)

test('the model without a version is called without a query', async () => {
  const { server, upstream } = await serving(describe)
  expect(await upstream.endpoint('infer', 'v2')!.call(jsonRequest(BODY))).toMatchObject({ status: 200 })
  expect(countOf(server, 'ModelMetadata')).toBe(0)
})

test('a server with versions is queried once, and again after the next metadata query', async () => {
  const { server, upstream, become } = await serving(honour)
  await call(upstream)
  await call(upstream)
  expect([countOf(server, 'ModelMetadata'), countOf(server, 'ModelInfer')]).toEqual([2, 2])
  become(describe)
  await upstream.facts(new AbortController().signal)
  await expect(call(upstream)).rejects.toMatchObject(IGNORED)
})

test('a server that has not loaded the model yet is queried again', async () => {
  const { upstream, become } = await serving(unknown)
  await call(upstream)
  become(describe)
  await expect(call(upstream)).rejects.toMatchObject(IGNORED)
})

test.each([
  ['has no metadata', (served: ServedCall) => refuse(served, 12, 'Method not found!')],
  ['sends malformed metadata', (served: ServedCall) => answer(served, [Buffer.from([0xff])])],
])('a version is called if the server %s', async (_, describing) => {
  const { server, upstream } = await serving(describing)
  await call(upstream)
  expect([countOf(server, 'ModelMetadata'), countOf(server, 'ModelInfer')]).toEqual([1, 1])
})

test('if the query gets no answer, the request fails like a call without an answer', async () => {
  const { server, upstream } = await serving(({ stream }) => stream.session!.destroy())
  await expect(call(upstream)).rejects.toMatchObject({ code: 'upstream_unreachable', retryable: true })
  const silent = await serving(() => {})
  const deadline = deadlineIn()
  const late = silent.upstream.endpoint('infer', 'v2', '1')!.call(jsonRequest(BODY, { deadline }))
  await expect.poll(() => countOf(silent.server, 'ModelMetadata')).toBe(1)
  deadline.pass()
  await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' })
  expect(countOf(server, 'ModelInfer') + countOf(silent.server, 'ModelInfer')).toBe(0)
})

test('a server that describes no models is queried only once', async () => {
  const { server, upstream } = await serving((call) => refuse(call, 12, 'Method not found!'))
  await call(upstream)
  const queries = countOf(server, 'ModelMetadata')
  await call(upstream)
  expect([countOf(server, 'ModelMetadata'), countOf(server, 'ModelInfer')]).toEqual([queries, 2])
})

test('an answer that was requested before the server was replaced does not count for the new server', async () => {
  let late: ServedCall | undefined
  const { upstream, become } = await serving((call, version) => {
    if (version === ABSENT_VERSION && late === undefined) late = call
    else honour(call, version)
  })
  const early = call(upstream).catch((error: unknown) => error)
  await expect.poll(() => late).toBeDefined()
  become(honour)
  await upstream.facts(new AbortController().signal)
  // The replaced server ignored versions.
  answer(late!, [METADATA])
  expect(await early).toMatchObject(IGNORED)
  expect((await call(upstream)).status).toBe(200)
})
