import { expect, test } from 'vitest'
import { hasPemPrivateKey, pemCertificates } from './pem.ts'

const block = (label: string, end = label): string =>
  `-----BEGIN ${label}-----\nMIIB+/aa==\n-----END ${end}-----`

test('accepts every label that Node.js accepts for a certificate', () => {
  const blocks = ['CERTIFICATE', 'X509 CERTIFICATE', 'TRUSTED CERTIFICATE'].map((label) => block(label))
  expect(pemCertificates(`# plant\r\n${blocks.join('\n# line 7\n')}\n`)).toEqual(blocks)
})

test.each([
  '',
  'MIIB',
  block('PRIVATE KEY'),
  block('CERTIFICATE REQUEST'),
  block('CERTIFICATE', 'X509 CERTIFICATE'),
  block('CERTIFICATE').slice(0, -1),
  '-----BEGIN CERTIFICATE-----'.repeat(5_000),
])('%j contains no certificate', (text) => {
  expect(pemCertificates(text.slice(0, 200_000))).toEqual([])
})

test.each(['PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY', 'ENCRYPTED PRIVATE KEY'])(
  'the PEM label %s is recognized as a key',
  (label) => {
    expect(hasPemPrivateKey(block(label))).toBe(true)
    expect(hasPemPrivateKey(block(label).slice(0, -1))).toBe(false)
  },
)

test('accepts a key in the old format, whose header fields contain dashes', () => {
  const fields = 'Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n'
  expect(hasPemPrivateKey(block('RSA PRIVATE KEY').replace('MIIB', `${fields}MIIB`))).toBe(true)
  expect(hasPemPrivateKey(block('PUBLIC KEY'))).toBe(false)
})
