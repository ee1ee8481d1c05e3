// Tests the fake model server over gRPC: healthy answers, statuses, and the count of open calls.
import { expect, test } from 'vitest'
import { callGrpc } from './grpc-call.ts'
import { FAULTY_GRPC_MODELS, GrpcModelServer } from './grpc-model-server.ts'
import { fieldsOf, inferRequest, namedModel } from './grpc-wire.ts'

test('the fake gRPC server answers, refuses or hangs, depending on the name of the model', async () => {
  const server = await GrpcModelServer.start()
  const infer = (model: string): ReturnType<typeof callGrpc> =>
    callGrpc(server.url, 'ModelInfer', inferRequest(model, 'r1', []))
  const healthy = await infer('healthy')
  expect([healthy.status, fieldsOf(healthy.messages[0]!).get(3)]).toEqual([0, [Buffer.from('r1')]])
  expect(await infer('error400')).toEqual({ status: 3, message: 'unexpected shape for input', messages: [] })
  expect(await callGrpc(server.url, 'ModelReady', namedModel('any'))).toMatchObject({ status: 0 })
  const stream = await callGrpc(server.url, 'ModelStreamInfer', inferRequest('two-messages', 'r1', []))
  expect([stream.status, stream.messages.length]).toEqual([0, 2])
  await expect(infer('reset')).rejects.toThrow()
  const hanging = infer('hang')
  await expect.poll(() => server.openCalls('hang')).toBe(1)
  await server.stop()
  await hanging.catch(() => {})
  await expect.poll(() => server.openCalls('hang')).toBe(0)
  expect(FAULTY_GRPC_MODELS.length).toBeGreaterThan(25)
})
