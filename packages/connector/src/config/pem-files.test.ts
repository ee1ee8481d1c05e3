// Files of a `tls` section that can be read and are not what the option expects.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ConfigError } from './config-error.ts'
import { loadConfig } from './load.ts'
import { hasCertificate } from './pem-files.ts'
import { ENCRYPTED_KEY, LOCALHOST, OTHER_NAME } from './testing/certificates.ts'
import { readTlsFiles } from './tls-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'inferwire-pem-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
function fileOf(content: string | Uint8Array): string {
  const file = join(folder, `${++files}.pem`)
  writeFileSync(file, content)
  return file
}

function mistakesOf(tls: Record<string, string>): string[] {
  try {
    loadConfig({ env: {}, flags: { broker: { url: 'mqtts://h', tls }, models: {} } })
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes.map(({ path, message }) => `${path} ${message}`)
    throw error
  }
  return []
}

const der = Buffer.from(LOCALHOST.cert.replaceAll(/-----.*-----|\n/g, ''), 'base64')

test.each([
  ['without a certificate', 'a certificate'],
  ['that is empty', ''],
  ['in DER', der],
  ['with a key', LOCALHOST.key],
  ['with a certificate that is cut off', LOCALHOST.cert.slice(0, 200)],
  ['with a broken certificate behind a good one', LOCALHOST.cert + LOCALHOST.cert.replace('MII', 'AAA')],
])('a CA file %s is a mistake of the configuration', (_what, content) => {
  const [mistake, ...others] = mistakesOf({ caFile: fileOf(content) })
  expect(mistake).toMatch(/^broker\.tls\.caFile ".+" holds no certificate that can be read; expected PEM/)
  expect(others).toEqual([])
})

test('a CA file of a model is looked at as well', () => {
  const caFile = fileOf('nothing')
  const models = { iris: { url: 'https://h', tls: { caFile } } }
  expect(() => loadConfig({ env: {}, flags: { models } })).toThrow(
    /models\.iris\.tls\.caFile: .* holds no certificate/,
  )
})

test.each([
  ['a byte order mark', `\uFEFF${LOCALHOST.cert}`],
  ['text around it', `# authority of the plant\n${LOCALHOST.cert}\n${OTHER_NAME.cert}`],
  ['the label X509', LOCALHOST.cert.replaceAll(' CERT', ' X509 CERT')],
  ['the label TRUSTED', LOCALHOST.cert.replaceAll(' CERT', ' TRUSTED CERT')],
  ['CRLF', LOCALHOST.cert.replaceAll('\n', '\r\n')],
])('a CA file with %s is taken', (_what, content) => {
  expect(mistakesOf({ caFile: fileOf(content) })).toEqual([])
  expect(hasCertificate(Buffer.from(content))).toBe(true)
})

test('a client certificate and its key are taken', () => {
  expect(mistakesOf({ certFile: fileOf(LOCALHOST.cert), keyFile: fileOf(LOCALHOST.key) })).toEqual([])
})

test.each([
  ['a key in place of the certificate', LOCALHOST.key, LOCALHOST.key, /certFile .* holds no certificate/],
  ['a certificate in place of the key', LOCALHOST.cert, LOCALHOST.cert, /keyFile .* holds no private key/],
  ['a key behind a passphrase', LOCALHOST.cert, ENCRYPTED_KEY, /keyFile .* needs a passphrase/],
  ['the key of another certificate', OTHER_NAME.cert, LOCALHOST.key, /keyFile .* is not the key of certFile/],
])('%s is a mistake of the configuration', (_what, cert, key, expected) => {
  const mistakes = mistakesOf({ certFile: fileOf(cert), keyFile: fileOf(key) })
  expect(mistakes).toEqual([expect.stringMatching(expected)])
})

test('a CA file that holds no certificate any more when it is used is not taken for one', () => {
  const caFile = fileOf(LOCALHOST.cert)
  expect(readTlsFiles({ caFile, insecureSkipVerify: false }).ca?.toString()).toBe(LOCALHOST.cert)
  writeFileSync(caFile, '')
  expect(() => readTlsFiles({ caFile, insecureSkipVerify: false })).toThrow(
    `"${caFile}" holds no certificate that can be read`,
  )
})
