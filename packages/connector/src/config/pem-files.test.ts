// Tests files of a `tls` section that can be read but have the wrong content.
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
  ['with a broken certificate after a valid one', LOCALHOST.cert + LOCALHOST.cert.replace('MII', 'AAA')],
])('rejects a CA file %s', (_what, content) => {
  const [mistake, ...others] = mistakesOf({ caFile: fileOf(content) })
  expect(mistake).toMatch(/^broker\.tls\.caFile ".+" contains no readable certificate; expected PEM/)
  expect(others).toEqual([])
})

test("checks the CA files of models, not only the broker's", () => {
  const caFile = fileOf('nothing')
  const models = { iris: { url: 'https://h', tls: { caFile } } }
  expect(() => loadConfig({ env: {}, flags: { models } })).toThrow(
    /models\.iris\.tls\.caFile: .* contains no readable certificate/,
  )
})

test.each([
  ['a byte order mark', `\uFEFF${LOCALHOST.cert}`],
  ['text around it', `# authority of the plant\n${LOCALHOST.cert}\n${OTHER_NAME.cert}`],
  ['the label X509', LOCALHOST.cert.replaceAll(' CERT', ' X509 CERT')],
  ['the label TRUSTED', LOCALHOST.cert.replaceAll(' CERT', ' TRUSTED CERT')],
  ['CRLF', LOCALHOST.cert.replaceAll('\n', '\r\n')],
])('accepts a CA file with %s', (_what, content) => {
  expect(mistakesOf({ caFile: fileOf(content) })).toEqual([])
  expect(hasCertificate(Buffer.from(content))).toBe(true)
})

test('accepts a client certificate and its key', () => {
  expect(mistakesOf({ certFile: fileOf(LOCALHOST.cert), keyFile: fileOf(LOCALHOST.key) })).toEqual([])
})

test.each([
  ['a key instead of the certificate', LOCALHOST.key, LOCALHOST.key, /certFile .* contains no readable cert/],
  [
    'a certificate instead of the key',
    LOCALHOST.cert,
    LOCALHOST.cert,
    /keyFile .* contains no readable private key/,
  ],
  ['a key with a passphrase', LOCALHOST.cert, ENCRYPTED_KEY, /keyFile .* with a passphrase/],
  [
    'the key of another certificate',
    OTHER_NAME.cert,
    LOCALHOST.key,
    /keyFile .* does not belong to the certificate in certFile/,
  ],
])('rejects %s', (_what, cert, key, expected) => {
  const mistakes = mistakesOf({ certFile: fileOf(cert), keyFile: fileOf(key) })
  expect(mistakes).toEqual([expect.stringMatching(expected)])
})

test('refuses to use a CA file that no longer contains a certificate', () => {
  const caFile = fileOf(LOCALHOST.cert)
  expect(readTlsFiles({ caFile, insecureSkipVerify: false }).ca?.toString()).toBe(LOCALHOST.cert)
  writeFileSync(caFile, '')
  expect(() => readTlsFiles({ caFile, insecureSkipVerify: false })).toThrow(
    `"${caFile}" contains no readable certificate`,
  )
})
