// Tests the judgements of the checks that connect to the broker.
import { expect, test } from 'vitest'
import type { Contact } from '../mqtt/first-contact.ts'
import { DialFailure } from '../mqtt/probe-link.ts'
import type { ProbeTarget } from '../mqtt/probe-target.ts'
import { judgeRefusal } from './login.ts'
import { judgeContact } from './protocol.ts'
import { judgeExpiry } from './session.ts'
import { judgeTlsError, judgeValidity } from './tls.ts'

function target(url: string, tls: ProbeTarget['tls'] = {}): ProbeTarget {
  return {
    url: new URL(url),
    mqttVersion: 5,
    username: 'inferwire',
    password: () => 'canary',
    tls,
    keepAliveSeconds: 30,
    caOption: 'broker.tls.caFile',
  }
}

test.each([
  [4, /wrong user name or password/, /broker\.passwordFile/],
  [0x87, /\(reason code 0x87\): wrong user name/, /inferwire passwd --lint/],
  [0x85, /client identifier/, /"inferwire-"/],
  [0x8a, /banned/, /ban/],
  [0x97, /busy/, /max_connections/],
  [0x9c, /failure/, /log of the broker/],
  [undefined, /refuses user: failure\./, /log of the broker/],
])('a CONNACK with the reason code %s', (reasonCode, message, remedy) => {
  const finding = judgeRefusal('mqtt://broker', 'user', new DialFailure('failure', reasonCode), 'connector')
  expect(finding).toMatchObject({ state: 'fault' })
  expect(finding.message).toMatch(message)
  expect(finding.remedy).toMatch(remedy)
})

test.each<[Contact, RegExp]>([
  ['tls', /uses TLS/],
  ['web', /web server/],
  ['proxy-protocol', /PROXY protocol/],
  ['silent', /does not answer CONNECT/],
  ['closed', /closes the connection/],
  ['other', /closes the connection/],
])('a port that answers with %s', (contact, message) => {
  const finding = judgeContact(target('mqtt://broker:1883'), contact)
  expect(finding).toMatchObject({ state: 'fault' })
  expect(finding.message).toMatch(message)
})

test.each([
  ['SELF_SIGNED_CERT_IN_CHAIN', /no trusted certificate authority/, /Set broker\.tls\.caFile/],
  ['ERR_TLS_CERT_ALTNAME_INVALID', /another host name/, /broker\.tls\.serverName/],
  ['CERT_HAS_EXPIRED', /has expired/, /Renew/],
  ['ERR_SSL_WRONG_VERSION_NUMBER', /does not use TLS/, /Use mqtt:\/\//],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', /client certificate/, /broker\.tls\.certFile/],
  ['ECONNRESET', /handshake with mqtts:\/\/broker:8883 failed/, /closed the connection/],
])('a TLS handshake that ends with %s', (code, message, remedy) => {
  const finding = judgeTlsError(target('mqtts://broker:8883'), Object.assign(new Error('reason'), { code }))
  expect(finding).toMatchObject({ state: 'fault' })
  expect(finding.message).toMatch(message)
  expect(finding.remedy).toMatch(remedy)
})

test.each([
  ['an IP address', target('mqtts://192.0.2.1'), true],
  ['an IP address with a server name', target('mqtts://192.0.2.1', { serverName: 'broker.example' }), false],
  ['a host name', target('mqtts://broker.example'), false],
])('a failed handshake mentions the missing SNI for %s: %s', (_name, at, isMentioned) => {
  const { remedy } = judgeTlsError(at, Object.assign(new Error('reset'), { code: 'ECONNRESET' }))
  expect(remedy?.includes('SNI')).toBe(isMentioned)
})

test.each([
  [13, 'warning'],
  [14, 'ok'],
])('a certificate that is valid for %i more days: %s', (days, state) => {
  const nowMs = Date.UTC(2026, 0, 1)
  expect(judgeValidity(target('mqtts://broker'), nowMs + days * 86_400_000, nowMs)).toMatchObject({ state })
})

test.each([
  [undefined, 'ok'],
  [300, 'ok'],
  [299, 'fault'],
  [0, 'fault'],
])('a Session Expiry Interval of %s s instead of 300 s: %s', (given, state) => {
  expect(judgeExpiry(given, { sessionExpirySeconds: 300 })).toMatchObject({ state })
})
