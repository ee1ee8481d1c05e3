// Tests which patterns are accepted for the origins of a credential, and which URLs they match.
import { expect, test } from 'vitest'
import { matchesOrigin, originPatternMistake } from './origin-pattern.ts'

test.each([
  ['https://gateway.example', 'https://gateway.example/serving/x', true],
  ['https://gateway.example', 'https://GATEWAY.example:443', true],
  ['https://Gateway.Example', 'https://gateway.example', true],
  ['https://gateway.example', 'http://gateway.example', false],
  ['https://gateway.example', 'https://gateway.example:8443', false],
  ['https://gateway.example', 'https://gateway.example.', false],
  ['https://gateway.example', 'https://gateway.example.evil.example', false],
  ['https://gateway.example', 'https://gateway.example@evil.example', false],
  ['https://gateway.example:8443', 'https://gateway.example:8443', true],
  ['https://gateway.example:*', 'https://gateway.example:8443', true],
  ['https://*.models.example', 'https://iris.models.example', true],
  ['https://*.models.example', 'https://iris.alice.models.example', true],
  ['https://*.models.example', 'https://models.example', false],
  ['https://*.models.example', 'https://evilmodels.example', false],
  ['https://*.models.example', 'https://iris.models.example:8443', false],
  ['https://*.models.example:*', 'https://iris.models.example:8443', true],
  ['http://*.alice.svc.cluster.local', 'http://iris.alice.svc.cluster.local', true],
  ['http://*.alice.svc.cluster.local', 'http://iris.bob.svc.cluster.local', false],
  ['http://10.0.0.7:8080', 'http://10.0.0.7:8080', true],
  ['http://10.0.0.7:8080', 'http://10.0.0.70:8080', false],
  ['http://[::1]:8080', 'http://[0:0:0:0:0:0:0:1]:8080', true],
  ['https://gateway.example', 'not a URL', false],
  ['https://gateway.example', 'file://gateway.example', false],
])('%s matches %s: %s', (pattern, url, isMatch) => {
  expect(originPatternMistake(pattern)).toBeUndefined()
  expect(matchesOrigin(pattern, url)).toBe(isMatch)
})

test.each([
  'https://*',
  '*',
  'https://*:8443',
  'gateway.example',
  'ftp://gateway.example',
  'https://gateway.example/',
  'https://gateway.example/path',
  'https://user@gateway.example',
  'https://gateway.example:0',
  'https://gateway.example:65536',
  'https://gate*.example',
  'https://a.*.example',
  'https://*.*.example',
  'https://*.0.0.1',
  'https://[::1',
  'https://[zz]',
  'https://1.2.3.4.5',
  'https://gateway.example?x',
  'https://gateway.example\n',
  '',
])('rejects the pattern %j', (pattern) => {
  expect(originPatternMistake(pattern)).toContain('an origin such as https://gateway.example')
  expect(matchesOrigin(pattern, 'https://gateway.example')).toBe(false)
})
