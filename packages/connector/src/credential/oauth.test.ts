// Tests the token requests of the OAuth 2.0 credentials against an issuer that misbehaves. No secret may appear in what a
// credential reports.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Secret, type CredentialConfig } from '../config/index.ts'
import { LOCALHOST, OTHER_NAME } from '../config/testing/certificates.ts'
import { createSource } from './create-credential.ts'
import type { CredentialSource } from './credential.ts'
import { FakeIssuer, sendJson, tokenWith } from './testing/fake-issuer.ts'
import { NO_DEADLINE, RecordedNews, TestDeadline } from './testing/source-parts.ts'
import { requestToken } from './token-request.ts'

type Config = Extract<CredentialConfig, { kind: 'oauth-client-credentials' | 'oauth-token-exchange' }>

const CLIENT_SECRET = 'hunter2 canary:ä%+'
const SUBJECT = tokenWith({ sub: 'canary' })

let folder: string
let issuer: FakeIssuer
let news: RecordedNews

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'inferwire-oauth-'))
  writeFileSync(join(folder, 'secret'), 'canary-secret\n')
  writeFileSync(join(folder, 'subject'), `${SUBJECT}\n`)
  issuer = await FakeIssuer.start()
  news = new RecordedNews()
})
afterEach(async () => {
  await issuer.stop()
  rmSync(folder, { recursive: true, force: true })
})

function clientCredentials(more: Partial<Config> = {}): Config {
  return {
    kind: 'oauth-client-credentials',
    tokenUrl: issuer.tokenUrl,
    clientId: 'inferwire',
    clientSecretFile: join(folder, 'secret'),
    clientAuthentication: 'basic',
    send: 'access_token',
    ...more,
  } as Config
}
function exchange(more: Partial<Extract<Config, { kind: 'oauth-token-exchange' }>> = {}): Config {
  return {
    ...clientCredentials(),
    kind: 'oauth-token-exchange',
    subjectTokenFile: join(folder, 'subject'),
    subjectTokenType: 'id_token',
    ...more,
  }
}
function sourceOf(config: Config): CredentialSource {
  return createSource(config, { place: 'credentials.a', news })
}
async function headersOf(config: Config): Promise<readonly string[]> {
  return sourceOf(config).headers(NO_DEADLINE)
}
async function problemOf(config: Config): Promise<Problem> {
  const problem = await headersOf(config).then(
    (headers) => expect.unreachable(`got ${headers.length} headers`),
    (error: unknown) => error,
  )
  expect(problem).toBeInstanceOf(Problem)
  const reported = inspect(problem, { depth: 9 }) + JSON.stringify(problem) + news.all.join()
  expect(reported).not.toMatch(/canary|hunter2|c2lnbmF0dXJl/)
  return problem as Problem
}

test('client credentials send what RFC 6749 requires, with the client in the header or in the body', async () => {
  writeFileSync(join(folder, 'secret'), 'pa:ss %+wörd')
  const parameters = { scope: 'openid models', audience: 'kserve', resource: 'https://models.example' }
  // A secret with characters outside of ASCII cannot be typed into a header, but the form encoding carries it.
  expect(await problemOf(clientCredentials(parameters))).toMatchObject({ code: 'unauthorized_upstream' })
  writeFileSync(join(folder, 'secret'), 'pa:ss %+word')
  expect(await headersOf(clientCredentials(parameters))).toEqual(['authorization', 'Bearer opaque'])
  await headersOf(clientCredentials({ ...parameters, clientAuthentication: 'post' }))
  const [basic, post] = issuer.seen
  expect(Object.fromEntries(basic!.form)).toEqual({ grant_type: 'client_credentials', ...parameters })
  // RFC 6749 §2.3.1: both parts are form-encoded before the base64 encoding.
  expect(Buffer.from(basic!.headers.authorization!.slice(6), 'base64').toString()).toBe(
    'inferwire:pa%3Ass+%25%2Bword',
  )
  expect(basic!.headers).toMatchObject({ accept: 'application/json', 'accept-encoding': 'identity' })
  expect(post!.headers.authorization).toBeUndefined()
  expect(Object.fromEntries(post!.form)).toEqual({
    grant_type: 'client_credentials',
    ...parameters,
    client_id: 'inferwire',
    client_secret: 'pa:ss %+word',
  })
})

test('token exchange sends the token of the file, its type and the connector of Dex', async () => {
  // The form of Dex's answer: the JWT is the access token, and there is no refresh token.
  issuer.answer = (response) =>
    sendJson(response, {
      access_token: 'exchanged',
      issued_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      token_type: 'bearer',
      expires_in: 86399,
    })
  const headers = await headersOf(
    exchange({ connectorId: 'k8s', requestedTokenType: 'id_token', scope: 'openid email' }),
  )
  expect(headers).toEqual(['authorization', 'Bearer exchanged'])
  expect(Object.fromEntries(issuer.seen[0]!.form)).toEqual({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: SUBJECT,
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    requested_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    connector_id: 'k8s',
    scope: 'openid email',
  })
})

test('reads the files again for every token request', async () => {
  issuer.answer = (response) =>
    sendJson(response, { access_token: `t${issuer.seen.length}`, token_type: 'Bearer' })
  const source = sourceOf(exchange())
  const used = await source.headers(NO_DEADLINE)
  writeFileSync(join(folder, 'subject'), 'next')
  writeFileSync(join(folder, 'secret'), 'other')
  expect([await source.refresh!(used, NO_DEADLINE), news.all]).toEqual([true, []])
  expect(issuer.seen[1]!.form.get('subject_token')).toBe('next')
  expect(Buffer.from(issuer.seen[1]!.headers.authorization!.slice(6), 'base64').toString()).toBe(
    'inferwire:other',
  )
})

test('sends the ID token if that is configured, even if the type of the access token is unknown', async () => {
  const idToken = tokenWith({ iat: 1000, exp: 1060 })
  issuer.answer = (response) =>
    sendJson(response, { access_token: 'a', id_token: idToken, token_type: 'DPoP', expires_in: 3600 })
  expect(await headersOf(clientCredentials({ send: 'id_token' }))).toEqual([
    'authorization',
    `Bearer ${idToken}`,
  ])
})

const html = (status: number) => (response: ServerResponse) =>
  response
    .writeHead(status, { 'content-type': 'text/html; charset=utf-8' })
    .end('<!DOCTYPE html><title>Sign In</title>')
const oauthError = (status: number, error: string, description?: string) => (response: ServerResponse) =>
  sendJson(response, { error, error_description: description }, status)

test.each<[string, FakeIssuer['answer'], RegExp]>([
  [
    'a wrong client secret',
    oauthError(401, 'invalid_client', 'bad secret canary-secret'),
    /401 "invalid_client" "bad secret \*\*\*"\. Check clientId, the content of clientSecretFile, and clientAuthentication\.$/,
  ],
  [
    'a grant that is not supported',
    oauthError(400, 'unsupported_grant_type'),
    /400 "unsupported_grant_type"\. The issuer does not support this grant\. Dex up to 2\.45/,
  ],
  [
    'a subject token that Dex rejects',
    oauthError(401, 'access_denied', `token ${SUBJECT} is expired`),
    /401 "access_denied" "token \*\*\* is expired"\. Check that the token in subjectTokenFile is valid/,
  ],
  [
    'an error code that is not in the standard',
    oauthError(400, '__proto__'),
    /400 "__proto__"\. Check the options/,
  ],
  ['an endless description', oauthError(400, 'invalid_request', 'x'.repeat(5_000)), /^.{1,420}$/],
  [
    'control characters in a description',
    oauthError(400, 'invalid_scope', 'a\u001b[31m\r\n'),
    /"a\\u001b\[31m\\r\\n"\. Check scope\.$/,
  ],
  ['a login page with status 200', html(200), /200 with a web page instead of a token\. Check tokenUrl/],
  ['a page with status 403', html(403), /403, a web page, without an OAuth error\. Check tokenUrl\.$/],
  [
    'a redirect to a login',
    (response) => response.writeHead(302, { location: 'http://evil.example/?state=canary' }).end(),
    /302, a redirect to "http:\/\/evil\.example\/", which is not followed\. Check tokenUrl\.$/,
  ],
  [
    'a relative redirect without a target',
    (response) => response.writeHead(303).end(),
    /303, a redirect, which is not followed/,
  ],
  [
    'an empty body',
    (response) => response.writeHead(200).end(),
    /200 with no JSON object instead of a token/,
  ],
  ['a list', (response) => sendJson(response, ['canary']), /200 with no JSON object/],
  [
    'no token',
    (response) => sendJson(response, { token: 'canary' }),
    /200 without access_token\. Is it a token endpoint\?$/,
  ],
  [
    'a token that is not text',
    (response) => sendJson(response, { access_token: 5 }),
    /200 without access_token/,
  ],
  [
    'an empty token',
    (response) => sendJson(response, { access_token: '' }),
    /the access_token cannot be sent in a header/,
  ],
  [
    'a token with a line break',
    (response) => sendJson(response, { access_token: 'canary\r\nx-injected: 1', token_type: 'Bearer' }),
    /the access_token cannot be sent in a header/,
  ],
  [
    'a token of 20 KB',
    (response) => sendJson(response, { access_token: 'canary'.repeat(3_500), token_type: 'Bearer' }),
    /at most 16384 visible ASCII characters/,
  ],
  [
    'a token of another type',
    (response) => sendJson(response, { access_token: 'canary', token_type: 'DPoP' }),
    /the token has the type "DPoP"; expected Bearer/,
  ],
  [
    'a body of 10 MB',
    (response) =>
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(`{"x":"${'canary'.repeat(1_800_000)}"}`),
    /the answer is larger than 65536 bytes/,
  ],
])('names the mistake, without a secret, if the issuer answers with %s', async (_what, answer, expected) => {
  issuer.answer = answer
  const problem = await problemOf(exchange())
  expect(problem).toMatchObject({ code: 'unauthorized_upstream', retryable: false })
  expect(problem.message).toBe('The connector could not obtain a token for this model.')
  expect(problem.detail).toMatch(expected)
  expect(issuer.seen).toHaveLength(1)
})

test('names an ID token that is missing because of the scope', async () => {
  expect((await problemOf(clientCredentials({ send: 'id_token' }))).detail).toContain(
    '200 without id_token. Add openid to scope, or set send: access_token.',
  )
})

// Waits until the credential has reported a failure, and then ends the call as its deadline would.
async function failedWait(source: CredentialSource): Promise<string> {
  const deadline = new TestDeadline()
  const wait = Promise.resolve(source.headers(deadline)).catch((error: unknown) => error as Problem)
  await expect.poll(() => news.all.length, { timeout: 10_000 }).toBeGreaterThan(0)
  deadline.pass(new Problem('deadline_exceeded', 'too late'))
  const problem = (await wait) as Problem
  expect(problem).toMatchObject({ code: 'unauthorized_upstream', retryable: true })
  expect(inspect(problem, { depth: 9 }) + news.all.join()).not.toMatch(/canary/)
  return problem.detail!
}

test.each<[string, FakeIssuer['answer'], RegExp]>([
  ['500', oauthError(500, 'server_error'), /500 "server_error"/],
  [
    'a page with status 503',
    html(503),
    /503, a web page, without an OAuth error\. The connector tries again\.$/,
  ],
  [
    '429',
    (response) => response.writeHead(429, { 'retry-after': '30' }).end(),
    /429, without an OAuth error/,
  ],
  ['a broken connection', (response) => response.destroy(), /socket hang up \(ECONNRESET\)/],
  [
    'half of an answer',
    (response) =>
      void response
        .writeHead(200, { 'content-length': '100' })
        .write('{"access_token":"canary', () => response.destroy()),
    /aborted/,
  ],
])('keeps trying after %s', async (_what, answer, expected) => {
  issuer.answer = answer
  const source = sourceOf(clientCredentials())
  expect(await failedWait(source)).toMatch(expected)
})

test('keeps trying while the issuer is down, and gets the token when it is up', async () => {
  const { tokenUrl } = issuer
  const source = sourceOf(clientCredentials())
  await issuer.stop()
  const wait = source.headers(NO_DEADLINE)
  await expect.poll(() => news.all.length, { timeout: 10_000 }).toBe(1)
  expect(news.all[0]).toMatch(/^failed, no secret: credentials\.a: .*ECONNREFUSED/)
  issuer = await FakeIssuer.start(undefined, Number(new URL(tokenUrl).port))
  expect(await wait).toEqual(['authorization', 'Bearer opaque'])
  expect(news.all.slice(1)).toEqual(['recovered'])
})

test('ends a request to an issuer that is slow, or that sends its answer one byte at a time', async () => {
  const ask = () =>
    requestToken({
      tokenUrl: issuer.tokenUrl,
      grant: 'client_credentials',
      clientId: 'c',
      clientSecret: new Secret(CLIENT_SECRET),
      clientAuthentication: 'basic',
      parameters: {},
      secretParameters: [],
      ca: undefined,
      timeoutMs: 200,
    })
  issuer.answer = () => {}
  await expect(ask()).rejects.toThrow('no complete answer after 200 ms')
  issuer.answer = (response) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write(' '), 10)
    response.once('close', () => clearInterval(timer))
  }
  await expect(ask()).rejects.toThrow('no complete answer after 200 ms')
})

test.each([
  ['secret', 'clientSecretFile', clientCredentials],
  ['subject', 'subjectTokenFile', exchange],
] as const)(
  'names the file %s if it is empty or missing, and sends nothing',
  async (name, _option, config) => {
    writeFileSync(join(folder, name), '')
    expect((await problemOf(config())).detail).toContain(`/${name}" is empty`)
    rmSync(join(folder, name))
    expect((await problemOf(config())).detail).toContain(`/${name}" cannot be read (ENOENT)`)
    expect(issuer.seen).toEqual([])
  },
)

test('trusts only the authorities in caFile', async () => {
  const secure = await FakeIssuer.start(LOCALHOST)
  try {
    const caFile = join(folder, 'ca')
    writeFileSync(caFile, LOCALHOST.cert)
    const config = clientCredentials({ tokenUrl: secure.tokenUrl, caFile })
    expect(await headersOf(config)).toEqual(['authorization', 'Bearer opaque'])
    expect(await failedWait(sourceOf({ ...config, caFile: undefined }))).toMatch(
      /self-signed certificate|DEPTH_ZERO/,
    )
    writeFileSync(caFile, OTHER_NAME.cert)
    news.all.length = 0
    expect(await failedWait(sourceOf(config))).toMatch(/certificate/)
    writeFileSync(caFile, 'no certificate')
    expect((await problemOf(config)).detail).toContain(`The file "${caFile}" in caFile cannot be used`)
    expect(secure.seen).toHaveLength(1)
  } finally {
    await secure.stop()
  }
})
