// Tests the gate itself: without the connector, its replies are those that were recorded from Kubeflow's components.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { askGateway as ask, PREDICT_PATH } from './gate/ask-gateway.ts'
import { FAULTY, hostOf, OWNER, startGate, type Gate } from './gate/gate.ts'
import { FakeModelServer } from './rig/model-server.ts'

const DENIED = { status: 403, type: 'text/plain', body: 'RBAC: access denied' }

let model: FakeModelServer
let gate: Gate

beforeAll(async () => {
  model = await FakeModelServer.start()
  gate = await startGate({
    pods: { iris: { port: model.port }, open: { port: model.port, mtls: 'PERMISSIVE' } },
  })
})
afterAll(async () => {
  await gate?.stop()
  await model?.stop()
})

function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` }
}

test("a token of the profile's owner reaches the model by its host, and by its path", async () => {
  const owner = bearer(gate.tokens.ofUser(OWNER))
  expect(await ask(gate.url, hostOf('iris'), owner)).toMatchObject({ status: 200, isFromBehind: true })
  const path = `/serving/alice/iris${PREDICT_PATH}`
  expect(await ask(gate.url, 'any.example.com', owner, path)).toMatchObject({ status: 200 })
  expect(await ask(gate.strippedUrl, hostOf('iris'), owner)).toMatchObject({
    status: 200,
    isFromBehind: false,
  })
  expect(await ask(gate.sidecarUrl, hostOf('iris'), owner)).toMatchObject({ status: 200, isFromBehind: true })
})

test('the gateway and the pod refuse with the same text; only the service time tells them apart', async () => {
  const basic = { authorization: 'Basic YWxpY2U6c2VjcmV0' }
  expect(await ask(gate.url, hostOf('iris'), basic)).toEqual({ ...DENIED, isFromBehind: false })
  const stranger = bearer(gate.tokens.ofServiceAccount('bob', 'default'))
  expect(await ask(gate.url, hostOf('iris'), stranger)).toEqual({ ...DENIED, isFromBehind: true })
})

test('without a token, the login service answers with its page, and its absence with an empty 403', async () => {
  const page = await ask(gate.url, hostOf('iris'))
  expect(page).toMatchObject({ status: 403, type: 'text/html; charset=utf-8', isFromBehind: false })
  expect(page.body).toContain('<title>Sign In</title>')
  await gate.login.stop()
  const empty = { status: 403, type: undefined, body: '', isFromBehind: false }
  expect(await ask(gate.url, hostOf('iris'))).toEqual(empty)
  await gate.login.restart()
})

test('a pod accepts connections without mTLS only if it is permissive', async () => {
  const [strict, permissive] = ['iris', 'open'].map((name) => `http://127.0.0.1:${gate.podPort[name]}`)
  await expect(ask(strict!, hostOf('iris'))).rejects.toThrow('socket hang up')
  expect(await ask(permissive!, hostOf('open'))).toEqual({ ...DENIED, isFromBehind: false })
})

test.each([
  ['a host without a route', FAULTY.unknown, { status: 404, body: '' }],
  ['no pod', FAULTY.noPod, { status: 503, body: 'no healthy upstream' }],
  ['a pod that refuses connections', FAULTY.down, { status: 503, type: 'text/plain' }],
  ['the dashboard', FAULTY.dashboard, { status: 404, type: 'text/html; charset=utf-8' }],
])('the gateway answers for %s', async (_what, host, reply) => {
  expect(await ask(gate.url, host, bearer(gate.tokens.ofUser(OWNER)))).toMatchObject(reply)
})
