// Compares the login stub of the gate with the real oauth2-proxy: what it sends, and what the gateway makes of it.
import { afterEach, expect, test } from 'vitest'
import { hostOf, startGate } from './gate/gate.ts'
import { LoginStub, type LoginReply } from './gate/login-stub.ts'
import { startOauth2Proxy } from './gate/oauth2-proxy.ts'
import { askGateway } from './gate/ask-gateway.ts'
import { FakeModelServer } from './rig/model-server.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** The parts of a reply on which the gateway and the connector depend. */
async function seen(port: number, path: string): Promise<object> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', redirect: 'manual' })
  const location = response.headers.get('location')
  const body = await response.text()
  const isPage = /<!DOCTYPE html>/i.test(body)
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    challenge: response.headers.get('www-authenticate'),
    title: /<title>(.*?)<\/title>/s.exec(body)?.[1],
    // The page begins with a line end.
    start: body.slice(0, 17),
    body: isPage ? 'page' : body,
    location: location === null ? null : locationOf(location),
    cookies: response.headers.getSetCookie().map((cookie) => cookie.replace(/=.*/s, '')),
  }
}

function locationOf(location: string): object {
  const { origin, pathname, searchParams } = new URL(location, 'http://relative')
  return { origin, pathname, client: searchParams.get('client_id'), to: searchParams.get('redirect_uri') }
}

test.each<[LoginReply, string, number]>([
  ['page', '/v1/models/iris:predict', 403],
  ['redirect', '/v1/models/iris:predict', 302],
  ['page', '/api/models', 401],
  ['redirect', '/apis/models', 401],
])('the stub with the reply "%s" answers %s like oauth2-proxy, with %i', async (reply, path, status) => {
  const real = await startOauth2Proxy(reply)
  closing.push(() => real.stop())
  const stub = await LoginStub.start(reply)
  closing.push(() => stub.stop())
  const expected = await seen(real.port, path)
  expect(expected).toMatchObject({ status })
  expect(await seen(stub.port, path)).toEqual(expected)
})

test('the gateway passes on the page of oauth2-proxy', async () => {
  const real = await startOauth2Proxy('page')
  closing.push(() => real.stop())
  const model = await FakeModelServer.start()
  closing.push(() => model.stop())
  const gate = await startGate({ pods: { iris: { port: model.port } }, loginPort: real.port })
  closing.push(() => gate.stop())
  const page = await askGateway(gate.url, hostOf('iris'))
  expect(page).toMatchObject({ status: 403, type: 'text/html; charset=utf-8', isFromBehind: false })
  expect(page.body).toContain('<title>Sign In</title>')
})
