import { expect, test } from 'vitest'
import { tlsFailure } from './tls-failure.ts'

test.each([
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'untrusted'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'untrusted'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'untrusted'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'untrusted'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'wrong-name'],
  ['CERT_HAS_EXPIRED', 'out-of-date'],
  ['CERT_NOT_YET_VALID', 'out-of-date'],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'client-certificate'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'client-certificate'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'not-tls'],
  ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'old-tls'],
  ['ERR_SSL_UNSUPPORTED_PROTOCOL', 'old-tls'],
  ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', 'handshake'],
  ['EPROTO', 'handshake'],
])('the TLS error %s is classified as %s', (code, kind) => {
  expect(tlsFailure({ code })?.kind).toBe(kind)
})

test.each(['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', undefined, 5])('%s is unrelated to TLS', (code) => {
  expect(tlsFailure({ code })).toBeUndefined()
})

test('finds the reason in the message of a write error, between the routine and the file name', () => {
  const message =
    'write EPROTO 80CB:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../deps/record.c:350:\n'
  expect(tlsFailure({ code: 'EPROTO', message })).toMatchObject({
    kind: 'not-tls',
    reason: 'wrong version number',
  })
})
