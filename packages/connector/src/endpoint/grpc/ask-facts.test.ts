// Tests the metadata query, the operations `metadata` and `ready`, and their errors.
import { afterEach, expect, test } from 'vitest'
import type { EndpointResponse, Upstream } from '../../step.ts'
import type { UpstreamOptions } from '../upstream-options.ts'
import { MESSAGES } from './inference-proto.ts'
import { answer, refuse, startGrpcServer, type ServedCall } from './testing/grpc-server.ts'
import { jsonRequest, openTestUpstream } from './testing/open-upstream.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

type Methods = Readonly<Record<string, (call: ServedCall) => void>>

async function serving(methods: Methods, options: Partial<UpstreamOptions> = {}): Promise<Upstream> {
  const server = await startGrpcServer((call) => {
    const method = call.headers[':path']!.split('/')[2]!
    const serve = methods[method] ?? ((other: ServedCall) => refuse(other, 12, 'Method not found!'))
    serve(call)
  })
  const upstream = openTestUpstream(server.url, options)
  closing.push(
    () => upstream.destroy(),
    () => server.stop(),
  )
  return upstream
}

const metadataOf = (call: ServedCall): void => {
  const { version } = MESSAGES.modelRequest.decode(call.message)
  if (version !== '' && version !== '2')
    return refuse(call, 5, "Request for unknown model: 'iris' version 9 is not found")
  answer(call, [
    MESSAGES.metadata.encode({
      name: 'iris',
      versions: ['1', '2'],
      platform: 'onnx',
      inputs: [
        {
          name: 'x',
          datatype: 'FP32',
          shape: [
            { low: -1, high: -1 },
            { low: 4, high: 0 },
          ],
        },
      ],
      outputs: [
        { name: version === '' ? 'y' : `y${version}`, datatype: 'INT64', shape: [{ low: -1, high: -1 }] },
      ],
    }),
  ])
}
const facts = (upstream: Upstream): ReturnType<Upstream['facts']> =>
  upstream.facts(new AbortController().signal)

test('the facts contain the tensors, versions and platform of the model and of its versions', async () => {
  const upstream = await serving({ ModelMetadata: metadataOf }, { versions: ['2', '9'] })
  const found = await facts(upstream)
  expect(found).toMatchObject({
    protocolVersions: ['v2'],
    unanswered: [],
    platform: 'onnx',
    versions: ['1', '2'],
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
    outputs: [{ name: 'y', datatype: 'INT64', shape: [-1] }],
  })
  expect(found.ofVersions?.get('2')).toMatchObject({
    state: 'described',
    description: { outputs: [{ name: 'y2' }] },
  })
  expect(found.ofVersions?.get('9')).toMatchObject({ state: 'missing' })
})

const ignoring = (call: ServedCall): void => {
  const { name } = MESSAGES.modelRequest.decode(call.message)
  metadataOf({ ...call, message: MESSAGES.modelRequest.encode({ name, version: '' }) })
}

test('a server that ignores versions counts as a server without versions', async () => {
  const found = await facts(await serving({ ModelMetadata: ignoring }, { versions: ['1', '2'] }))
  const missing = { state: 'missing', reason: 'The model server ignores versions.' }
  expect([...found.ofVersions!]).toEqual([
    ['1', missing],
    ['2', missing],
  ])
})

const breaking = (call: ServedCall): void => {
  const { version } = MESSAGES.modelRequest.decode(call.message)
  if (version === '' || version === '2') metadataOf(call)
  else call.stream.close(2)
}

test('a version is not described before it is known whether the server ignores versions', async () => {
  const found = await facts(await serving({ ModelMetadata: breaking }, { versions: ['2'] }))
  expect(found.ofVersions!.get('2')).toEqual({ state: 'unanswered' })
})

test('a server that answers anything but UNIMPLEMENTED to the method for streams counts as streaming', async () => {
  const without = await facts(await serving({ ModelMetadata: metadataOf }))
  expect(without).not.toHaveProperty('optionalOperations')
  const having = await facts(
    await serving({ ModelMetadata: metadataOf, ModelStreamInfer: (call) => answer(call, []) }),
  )
  expect(having).toMatchObject({ optionalOperations: ['infer_stream'] })
  const broken = await serving({
    ModelMetadata: metadataOf,
    ModelStreamInfer: ({ stream }) => stream.session!.destroy(),
  })
  expect(await facts(broken)).toMatchObject({ unanswered: ['v2'] })
})

test('a server without the model is not ready; a server that does not answer is unreachable', async () => {
  const missing = await serving({
    ModelMetadata: (call) => refuse(call, 5, 'Model with name iris does not exist.'),
  })
  await expect(facts(missing)).rejects.toMatchObject({
    code: 'model_not_ready',
    detail: expect.stringContaining('does not exist') as string,
  })
  const broken = await serving({ ModelMetadata: ({ stream }) => stream.session!.destroy() })
  await expect(facts(broken)).rejects.toMatchObject({ code: 'upstream_unreachable' })
})

test('a cancelled query ends at once', async () => {
  const stopping = new AbortController()
  const upstream = await serving({ ModelMetadata: () => stopping.abort() })
  await expect(upstream.facts(stopping.signal)).rejects.toMatchObject({ code: 'upstream_unreachable' })
})

const call = (
  upstream: Upstream,
  operation: 'metadata' | 'ready',
  version?: string,
): Promise<EndpointResponse> => upstream.endpoint(operation, 'v2', version)!.call(jsonRequest(''))

test('metadata is answered with the body that an HTTP server sends', async () => {
  const { body, contentType } = await call(await serving({ ModelMetadata: metadataOf }), 'metadata', '2')
  expect(contentType).toBe('application/json')
  expect(JSON.parse(Buffer.from(body).toString())).toEqual({
    name: 'iris',
    versions: ['1', '2'],
    platform: 'onnx',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
    outputs: [{ name: 'y2', datatype: 'INT64', shape: [-1] }],
  })
})

test('metadata that exceeds the limit only as JSON is response_too_large', async () => {
  const upstream = await serving({ ModelMetadata: metadataOf }, { responseBytesMax: 100 })
  await expect(call(upstream, 'metadata')).rejects.toMatchObject({ code: 'response_too_large' })
})

test('ready is answered with the body that an HTTP server sends, or with model_not_ready', async () => {
  const yes = await serving({
    ModelReady: (served) => answer(served, [MESSAGES.ready.encode({ ready: true })]),
  })
  expect(Buffer.from((await call(yes, 'ready')).body).toString()).toBe('{"name":"iris","ready":true}')
  const no = await serving({
    ModelReady: (served) => answer(served, [MESSAGES.ready.encode({ ready: false })]),
  })
  await expect(call(no, 'ready')).rejects.toMatchObject({
    code: 'model_not_ready',
    status: 503,
    sign: 'starting',
  })
})

test('operations that V2 does not offer over gRPC have no endpoint', async () => {
  const upstream = await serving({})
  expect(upstream.endpoint('predict', 'v2')).toBeUndefined()
  expect(upstream.endpoint('explain', 'v2')).toBeUndefined()
})
