import { expect, test } from 'vitest'
import { readRedirect } from './redirect.ts'

const leadsTo = (url: string, location: string, host?: string): string =>
  readRedirect({ status: 307, location, address: `POST ${url}`, host })!.leadsTo

const MODELS = 'http://kserve.example/v1/models'

test.each([
  ['a model "author"', `${MODELS}/author:predict`, `${MODELS}/author:predict/`],
  ['a relative path', `${MODELS}/author:predict`, '/v1/models/author:predict/'],
  ['a model "auth"', 'http://kserve.example/v2/models/auth/infer', '/v2/models/auth/infer/'],
  [
    'a model "login" behind a prefix',
    'http://k.example/v2/models/login/infer',
    '/serving/v2/models/login/infer',
  ],
  ['TLS', 'http://login.example/v2/models/m/infer', 'https://login.example/v2/models/m/infer'],
  [
    'a namespace "auth"',
    'http://iris.auth.svc/v2/models/m/infer',
    'https://iris.auth.example.com/v2/models/m/infer',
  ],
  [
    'login words inside longer names',
    `${MODELS}/m:predict`,
    'https://blog.authentic.example/catalogin/oauth2-docs',
  ],
  ['a login path in the query', `${MODELS}/m:predict`, '/v1/models/m:predict/?next=/login'],
  ['an empty Location', `${MODELS}/m:predict`, ''],
  ['an invalid URL', `${MODELS}/m:predict`, 'http://['],
])('does not mistake a redirect for a login: %s', (_what, url, location) => {
  expect(leadsTo(url, location)).toBe('elsewhere')
})

test.each([
  [
    'a user in an absolute URL',
    'https://ann:s3cret@other.example/v1/x?y=s3cret#s3cret',
    '"https://other.example/v1/x"',
  ],
  ['a user and no scheme', '//ann:s3cret@other.example/v1/x', '"http://other.example/v1/x"'],
  ['a password alone', 'https://:s3cret@other.example', '"https://other.example/"'],
  ['backslashes', 'https:\\\\ann:s3cret@other.example\\x', '"https://other.example/x"'],
  ['a scheme that is not HTTP', 'ftp://ann:s3cret@other.example/x', '"ftp://other.example/x"'],
  ['an invalid URL', 'https://ann:s3cret@[', 'an invalid URL'],
  ['no user', '/dex/@home?state=s3cret', '"/dex/@home"'],
])('logs a Location without its secrets: %s', (_what, location, shown) => {
  const { detail } = readRedirect({
    status: 302,
    location,
    address: `POST ${MODELS}/m:predict`,
    host: undefined,
  })!
  expect(detail).toContain(`302 to ${shown};`)
  expect(detail).not.toMatch(/ann|s3cret/)
})

test('ignores login words that also occur in the Host that was sent', () => {
  const location = 'https://iris.sso.example.com/v1/models/m:predict'
  expect(leadsTo('http://10.0.0.1/v1/models/m:predict', location, 'iris.sso.svc:80')).toBe('elsewhere')
  expect(leadsTo('http://10.0.0.1/v1/models/m:predict', location)).toBe('login')
})

test.each([
  ['Dex', '/dex/auth?client_id=x'],
  ['oauth2-proxy', '/oauth2/start?rd=%2F'],
  ['Keycloak', 'https://id.example/realms/plant/protocol/openid-connect/auth?state=1'],
  ['Microsoft', 'https://login.microsoftonline.com/common/oauth2/v2.0/authorize'],
  ['a page', '/LOGIN.html#x'],
  ['a login host', 'https://sso.example/'],
  ['a model "author"', 'https://accounts.example/o'],
])('detects a redirect to a login: %s', (_what, location) => {
  expect(leadsTo(`${MODELS}/author:predict`, location)).toBe('login')
})
