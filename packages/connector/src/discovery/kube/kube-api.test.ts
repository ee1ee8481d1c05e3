// Tests single calls and lists against an API server that fails on request.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { KubeApi } from './kube-api.ts'
import type { KubeError } from './kube-error.ts'
import { collectionPath } from './kube-object.ts'
import { ApiServer, WIDGETS, type Fault } from './testing/api-server.ts'
import { plainTarget } from './testing/consumer.ts'

const PATH = collectionPath(WIDGETS)
const TOKEN = 'abc.def/ghi'

let server: ApiServer
let api: KubeApi

beforeEach(async () => {
  server = new ApiServer()
  await server.start()
  api = new KubeApi(plainTarget(server.url, TOKEN), { pageSize: 2, objectBytesMax: 10_000, silenceMs: 2_000 })
})

afterEach(async () => {
  await api.close()
  await server.stop()
})

async function failureOf(call: Promise<unknown>): Promise<KubeError> {
  return await call.then(
    () => expect.fail('It succeeded.'),
    (error: unknown) => error as KubeError,
  )
}

const refusal = (status: number, body: string, more: object = {}): Fault => ({ status, body, ...more })
const statusBody = (reason: string, message: string): string =>
  JSON.stringify({ kind: 'Status', status: 'Failure', reason, message })

test('gets a value, and posts an object', async () => {
  const authorizations: (string | undefined)[] = []
  server.refuse = ({ headers }) => void authorizations.push(headers.authorization)
  expect(await api.get('/version')).toEqual({ major: '1' })
  const review = { kind: 'SelfSubjectAccessReview', spec: { resourceAttributes: { verb: 'list' } } }
  expect(await api.post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review)).toEqual(review)
  expect(authorizations).toEqual([`Bearer ${TOKEN}`, `Bearer ${TOKEN}`])
})

test('uses the path in the address of the server', async () => {
  const behind = new KubeApi(plainTarget(`${server.url}/k8s/clusters/c-1/`))
  server.faults.push({ body: '{}' })
  await behind.get('/version')
  await behind.close()
  expect(server.requests).toEqual(['GET /k8s/clusters/c-1/version'])
})

describe('a list', () => {
  test('has the objects of all pages that match the selector', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) server.put('ns', name, {}, { team: name < 'd' ? 'x' : 'y' })
    expect((await api.list(PATH)).map(({ metadata }) => metadata.name)).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(server.requests).toHaveLength(3)
    expect(await api.list(PATH, { labelSelector: 'team=y' })).toHaveLength(2)
    expect(await api.list(collectionPath(WIDGETS, 'other'))).toEqual([])
  })

  test('leaves out unreadable objects', async () => {
    server.put('ns', 'a')
    server.put('ns', 'large', { spec: 'x'.repeat(20_000) })
    server.put('ns', 'labels', {}, { team: 5 as unknown as string })
    expect((await api.list(PATH)).map(({ metadata }) => metadata.name)).toEqual(['a'])
  })

  test('with more objects than allowed is an error', async () => {
    for (const name of ['a', 'b', 'c']) server.put('ns', name)
    expect(await api.list(PATH, { objectsMax: 3 })).toHaveLength(3)
    expect(await failureOf(api.list(PATH, { objectsMax: 2 }))).toMatchObject({ reason: 'TooLarge' })
  })

  test('accepts "items": null', async () => {
    server.faults.push({ body: '{"metadata":{"resourceVersion":"1"},"items":null}' })
    expect(await api.list(PATH)).toEqual([])
  })

  test.each([
    ['a web page', '<html>Log in</html>'],
    ['an empty body', ''],
    ['a list that is cut off', '{"items":[{"metadata":{"name":"a","uid":"1","resourceVersion":"1"}}'],
    ['a list without a version', '{"items":[],"metadata":{}}'],
    ['another object', '{"kind":"APIVersions","versions":["v1"]}'],
    ['a list without items', '{"metadata":{"resourceVersion":"1"}}'],
    ['an array', '[[{}]]'],
  ])('does not accept %s', async (_, body) => {
    server.faults.push({ body })
    expect(await failureOf(api.list(PATH))).toMatchObject({ reason: 'InvalidResponse' })
  })

  test('does not accept a long text outside the objects', async () => {
    server.faults.push({ body: `{"metadata":{"continue":"${'x'.repeat(70_000)}"` })
    expect(await failureOf(api.list(PATH))).toMatchObject({ reason: 'TooLarge' })
  })
})

describe('an error', () => {
  test.each([
    [400, 'BadRequest'],
    [401, 'Unauthorized'],
    [403, 'Forbidden'],
    [404, 'NotFound'],
    [409, 'Conflict'],
    [410, 'Gone'],
    [422, 'Invalid'],
    [429, 'TooManyRequests'],
    [500, 'InternalError'],
    [503, 'ServiceUnavailable'],
    [504, 'Timeout'],
    [418, 'Unknown'],
  ])('with the status %s has a reason, a remedy, and the path without the query', async (status, reason) => {
    server.faults.push(refusal(status, ''))
    const error = await failureOf(api.list(PATH))
    expect(error).toMatchObject({ status, reason })
    expect(error.message).toBe(`GET ${server.url}${PATH} was answered with ${status}`)
    expect(error.remedy).toMatch(/\.$/)
  })

  test("has the API server's reason and message, shortened and printable", async () => {
    server.faults.push(
      refusal(403, statusBody('Forbidden', `widgets is forbidden\n\u001b[2J${'x'.repeat(5_000)}`)),
    )
    const { message } = await failureOf(api.get('/version'))
    expect(message).toContain('403: widgets is forbidden\ufffd\ufffd[2Jxxx')
    expect(message.length).toBeLessThan(1_100)
  })

  test('has the number of milliseconds in Retry-After', async () => {
    server.faults.push(refusal(429, '', { retryAfter: '7' }))
    expect(await failureOf(api.get('/version'))).toMatchObject({ retryAfterMs: 7_000 })
    server.faults.push(refusal(429, '', { retryAfter: 'Wed, 21 Oct 2026 07:28:00 GMT' }))
    expect((await failureOf(api.get('/version'))).retryAfterMs).toBeUndefined()
    server.faults.push(refusal(429, '', { retryAfter: '999999999' }))
    expect(await failureOf(api.get('/version'))).toMatchObject({ retryAfterMs: 3_600_000 })
  })

  test('does not contain the token', async () => {
    const page = `<pre>Authorization: Bearer ${TOKEN}\n token=${TOKEN}</pre>`
    const bodies = [
      page,
      statusBody('x', page),
      statusBody('x', page).replaceAll('/', String.raw`\/`),
      statusBody(TOKEN, 'Bearer other.token'),
    ]
    for (const body of bodies) {
      server.faults.push(refusal(502, body))
      const error = await failureOf(api.get('/version'))
      expect(JSON.stringify([error.message, error.reason, error.remedy, String(error.cause)])).not.toMatch(
        /abc\.def|other\.token/,
      )
    }
  })

  test('of a redirect explains that it is not followed', async () => {
    server.faults.push(refusal(302, '', { location: `${server.url}/version` }))
    expect(await failureOf(api.get('/version'))).toMatchObject({
      status: 302,
      reason: 'InvalidResponse',
      remedy: expect.stringContaining('Redirects are not followed'),
    })
    expect(server.requests).toHaveLength(1)
  })

  test.each<[string, Fault, string]>([
    ['no JSON', { body: 'ok' }, 'InvalidResponse'],
    ['a body above the limit', { body: ' '.repeat(9 * 1024 * 1024) }, 'TooLarge'],
    ['a broken connection', { cutAfterBytes: 0 }, 'Unreachable'],
    ['no answer', 'silence', 'Timeout'],
  ])('about %s is classified', async (_, fault, reason) => {
    server.faults.push(fault)
    expect(await failureOf(api.get('/version', { timeoutMs: 1_000 }))).toMatchObject({ reason })
  })

  test('about a server that is not running has a remedy', async () => {
    await server.stop()
    expect(await failureOf(api.get('/version'))).toMatchObject({
      reason: 'Unreachable',
      remedy: expect.stringContaining('that the API server is running'),
    })
    await server.start()
  })

  test.each([new Error('over'), 'a text', null])(
    'is Aborted if the caller ends the call with %s',
    async (reason) => {
      const controller = new AbortController()
      server.faults.push('silence')
      const failure = failureOf(api.get('/version', { signal: controller.signal }))
      await expect.poll(() => server.requests.length, { timeout: 20_000 }).toBe(1)
      controller.abort(reason)
      expect(await failure).toMatchObject({ reason: 'Aborted' })
      expect(await failureOf(api.get('/version', { signal: controller.signal }))).toMatchObject({
        reason: 'Aborted',
      })
    },
  )
})

test.each(['Widgets', 'a/b', '..', '', 'a'.repeat(300), 'a?b'])('refuses the name "%s" in a path', (name) => {
  expect(() => collectionPath({ ...WIDGETS, plural: name })).toThrow('is not a name')
  expect(() => collectionPath(WIDGETS, name)).toThrow('is not a name')
})
