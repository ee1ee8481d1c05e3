// Tests the `inferwire` command with full disks, text that is not plain UTF-8, and invalid certificates. Uses real
// files, a real TLS broker and a shell.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect, InferwireError } from '@inferwire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { inferwire, INFERWIRE } from './fixtures/inferwire.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { shell } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { digest } from './rig/model-behaviours.ts'
import { FakeModelServer } from './rig/model-server.ts'

const BODY = '{"instances":[[1,2]]}'
const BOM = '\ufeff'
const folder = tempFolder('cli-surroundings')
let broker: Mosquitto
let upstream: FakeModelServer
let central: TestConnector

beforeAll(async () => {
  broker = await startMosquitto({ users: { ann: 'a-secret', inferwire: 'c-secret' } })
  upstream = await FakeModelServer.start()
  writeFileSync(join(folder, 'connector-password'), `${BOM}c-secret\r\n`)
  central = await runConnector({
    broker: { url: broker.url, username: 'inferwire', passwordFile: join(folder, 'connector-password') },
    models: { iris: { url: upstream.url, protocolVersion: 'v1' } },
  })
})
afterAll(async () => {
  await central?.connector.stop()
  await upstream?.stop()
  await broker?.stop()
})

const file = (name: string, content: string | Buffer): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
const openssl = (...argv: string[]) => execFileSync('openssl', argv, { cwd: folder, stdio: 'ignore' })
const at = (name: string): string => join(folder, name)
const utf16 = (text: string): Buffer => Buffer.from(`${BOM}${text}`, 'utf16le')
const login = (): string[] => ['-p', String(broker.port), '-u', 'ann', '-P', 'a-secret']

describe('standard output on a full disk results in one error line and exit code 74', () => {
  test.each([
    'infer iris -d {"instances":[[1]]}',
    'infer iris -d {"instances":[[1]]} -o json',
    'infer iris -d {"instances":[[1]]} --show mosquitto',
    'models ls',
    'models describe iris -o json',
    'topics explain infer/request/a/iris',
    'config schema',
    'completion bash',
    'version',
    '--help',
  ])('%s', async (line) => {
    const words = line.split(' ').map((word) => `'${word}'`)
    const place = /^(?:infer|models)/.test(line) ? login() : []
    const command = ['exec', process.execPath, INFERWIRE, ...words, ...place, '>/dev/full'].join(' ')
    const { code, stderr } = await shell(command)
    expect(stderr).toMatch(/^error: cannot write to standard output: ENOSPC: .*\n$/)
    expect(code).toBe(74)
  })

  test('standard error on a full disk does not change the exit code', async () => {
    const command = ['exec', process.execPath, INFERWIRE, 'infer', 'iris', '-p', '1', '2>/dev/full']
    expect((await shell(command.join(' '))).code).toBe(65)
  })
})

describe('a byte order mark', () => {
  test('is removed from a body in a file, on standard input or in -d', async () => {
    const marked = file('body.json', `${BOM}${BODY}`)
    const answers = [
      await inferwire(['infer', 'iris', '-f', marked, ...login()]),
      await inferwire(['infer', 'iris', ...login()], { input: `${BOM}${BODY}` }),
      await inferwire(['infer', 'iris', '-d', `${BOM}${BODY}`, ...login()]),
      await inferwire(['infer', 'iris', '-f', marked, '--content-type', 'application/json', ...login()]),
    ]
    for (const { code, stdout, stderr } of answers) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(JSON.parse(stdout)).toEqual({ predictions: [digest(BODY)] })
    }
    const { stdout } = await inferwire(['infer', 'iris', '-f', marked, '--show', 'curl'])
    expect(stdout).toContain(`--data-raw '${BODY}'`)
  })

  test('is not part of the password in a password file, for the command line and for the connector', async () => {
    const password = file('password', `${BOM}a-secret\n`)
    const argv = [
      'infer',
      'iris',
      '-d',
      BODY,
      '-p',
      String(broker.port),
      '-u',
      'ann',
      '--password-file',
      password,
    ]
    expect((await inferwire(argv)).code).toBe(0)
  })

  test('is not part of the password on standard input', async () => {
    const users = join(folder, 'users')
    const made = await inferwire(['passwd', '-c', users, 'ann'], { input: `${BOM}a-secret\n` })
    expect(made.code).toBe(0)
    expect((await inferwire(['passwd', '--verify', users, 'ann'], { input: 'a-secret\n' })).code).toBe(0)
  })

  test('is reported if it indicates UTF-16; bytes that are not UTF-8 are reported, too', async () => {
    const cases: [argv: string[], words: RegExp][] = [
      [
        ['-f', file('utf16.json', utf16(BODY))],
        /the body from file ".*" is UTF-16\n.*iconv -f UTF-16 -t UTF-8/,
      ],
      [['-f', file('latin1.json', Buffer.from('{"a":"é"}', 'latin1'))], /is not UTF-8/],
      [
        ['-d', BODY, '-u', 'ann', '--password-file', file('utf16', utf16('a-secret'))],
        /password file ".*" is UTF-16/,
      ],
    ]
    for (const [argv, words] of cases) {
      const { code, stderr } = await inferwire(['infer', 'iris', ...argv, '-p', String(broker.port)])
      expect(stderr).toMatch(words)
      expect(stderr).not.toContain('secret')
      expect(code).toBe(65)
    }
  })
})

describe('a password in the broker URL', () => {
  test.each([
    ['mqtt://ann:100%@h', /password .*percent-encoding[\s\S]*%25/],
    ['mqtt://ann:s%ffcret@h', /percent-encoding[\s\S]*%25/],
    ['mqtt://10%:secret@h', /user name .*percent-encoding[\s\S]*%25/],
    ['mqtt://ann:12/secret@h', /after host and port[\s\S]*%2F/],
    ['mqtt://ann:12#secret@h', /after host and port[\s\S]*%23/],
  ])('%s is a usage error that does not print the password', async (url, words) => {
    const runs = [
      await inferwire(['infer', 'iris', '-d', BODY, '--broker', url]),
      await inferwire(['models', 'ls'], { env: { INFERWIRE_BROKER_URL: url } }),
    ]
    for (const { code, stderr } of runs) {
      expect(stderr).toMatch(words)
      expect(stderr).not.toMatch(/100%@|s%ffcret|secret/)
      expect(code).toBe(64)
    }
    await expect(connect(url)).rejects.toThrow(TypeError)
    await expect(connect(url)).rejects.toThrow(words)
    await expect(connect(url)).rejects.not.toThrow(/100%@|s%ffcret|secret/)
  })
})

describe('an option that the SDK rejects is a usage error, not an internal error', () => {
  test.each([
    [
      'a NUL in the user name',
      ['--broker', 'mqtt://u%00x:p@127.0.0.1:1', '--client', 'x'],
      /username contains a NUL/,
    ],
    ['too long a user name', ['-u', 'u'.repeat(66_000), '--client', 'x'], /longer than 65535 bytes/],
    ['a host with a query', ['-h', 'localhost?foo', '-p', '1999'], /"localhost\?foo" is not a host/],
    ['a host with a fragment', ['-h', 'localhost#foo'], /"localhost#foo" is not a host/],
    ['a host with a path', ['-h', 'localhost/foo'], /"localhost\/foo" is not a host/],
  ])('%s', async (_name, argv, words) => {
    const { code, stderr } = await inferwire(['models', 'ls', ...argv])
    expect(stderr).toMatch(words)
    expect(stderr).not.toMatch(/fault in Inferwire/)
    expect(code).toBe(64)
  })
})

describe('TLS', () => {
  let secured: Mosquitto
  let certificate: string

  beforeAll(async () => {
    certificate = at('cert.pem')
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
    const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', at('key.pem')]
    execFileSync('openssl', ['req', '-x509', ...key, '-days', '2', ...subject, '-out', certificate], {
      stdio: 'ignore',
    })
    secured = await startMosquitto({ config: [`certfile ${certificate}`, `keyfile ${at('key.pem')}`] })
  })
  afterAll(() => secured?.stop())

  const ask = (host: string, ...more: string[]) =>
    inferwire(['models', 'ls', '--broker', `mqtts://${host}:${secured.port}`, '-t', '5', ...more])

  test('the error for a self-signed certificate suggests the option --cafile, which makes it trusted', async () => {
    const { code, stderr } = await ask('localhost')
    expect(stderr).toMatch(/^error: The certificate of the broker .* was refused: self-signed certificate/)
    expect(stderr).toMatch(/\n {7}.*--cafile/)
    expect(stderr).not.toMatch(/that the broker is running/)
    expect(code).toBe(69)
    expect((await ask('localhost', '--cafile', certificate)).code).toBe(0)
  })

  test('the error for a certificate from a private authority suggests --cafile, or the ca option in the SDK', async () => {
    const days = ['-days', '2', '-newkey', 'rsa:2048', '-nodes']
    openssl('req', '-x509', ...days, '-subj', '/CN=plant', '-keyout', 'ca.key', '-out', 'ca.pem')
    const request = ['-subj', '/CN=localhost', '-keyout', 'leaf.key', '-out', 'leaf.csr']
    openssl('req', '-newkey', 'rsa:2048', '-nodes', ...request)
    file('leaf.ext', 'subjectAltName=DNS:localhost')
    const authority = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'leaf.ext']
    openssl('x509', '-req', '-in', 'leaf.csr', ...authority, '-days', '2', '-out', 'leaf.pem')
    const other = await startMosquitto({
      config: [`certfile ${at('leaf.pem')}`, `keyfile ${at('leaf.key')}`],
    })
    try {
      const url = `mqtts://localhost:${other.port}`
      const { code, stderr } = await inferwire(['models', 'ls', '--broker', url, '-t', '5'])
      expect(stderr).toMatch(/was refused: .*UNABLE_TO_VERIFY_LEAF_SIGNATURE.*certificate_refused/)
      expect(stderr).toMatch(/\n {7}.*--cafile/)
      expect(code).toBe(69)
      const error: unknown = await connect(url).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: 'certificate_refused', retryable: false })
      expect((error as InferwireError).message).toMatch(
        /set the ca option to the certificate of the broker's certificate authority\.$/,
      )
      const trusted = ['--broker', url, '-t', '5', '--cafile', at('ca.pem')]
      expect((await inferwire(['models', 'ls', ...trusted])).code).toBe(0)
    } finally {
      await other.stop()
    }
  })

  test('the error for a certificate that is valid for another name suggests that name', async () => {
    const { code, stderr } = await ask('127.0.0.1', '--cafile', certificate)
    expect(stderr).toMatch(
      /was refused: Hostname\/IP does not match .*; connect with a name from the certificate \(DNS:localhost\)\./,
    )
    expect(stderr).toMatch(/\n {7}Use a name from the certificate.*-h.*--cafile/)
    expect(code).toBe(69)
  })

  test('the SDK error for a self-signed certificate names the ca option', async () => {
    const error: unknown = await connect(`mqtts://localhost:${secured.port}`).catch(
      (reason: unknown) => reason,
    )
    expect(error).toBeInstanceOf(InferwireError)
    expect(error).toMatchObject({ code: 'certificate_refused', retryable: false })
    expect((error as InferwireError).message).toMatch(
      /self-signed certificate.*set the ca option to the certificate of the broker's certificate authority\.$/,
    )
  })

  test('a port that does not speak TLS is reported', async () => {
    const { code, stderr } = await inferwire([
      'models',
      'ls',
      '--broker',
      `mqtts://127.0.0.1:${upstream.port}`,
    ])
    expect(stderr).toMatch(/does not use TLS on this port/)
    expect(stderr).not.toMatch(/error:0A/)
    expect(code).toBe(69)
  })

  test.each([
    ['no content', ''],
    ['garbage', 'garbage'],
    ['a key instead of a certificate', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'],
    ['an empty certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
    ['an invalid certificate after a valid one', '@'],
    ['a certificate in DER', Buffer.from([0x30, 0x82, 0x03, 0x0d, 0xff])],
  ])('a CA file with %s results in exit code 66', async (_name, content) => {
    const good = readFileSync(certificate, 'latin1')
    const ca = file('ca', content === '@' ? good + good.replace('MII', 'AAA') : content)
    const { code, stderr } = await ask('localhost', '--cafile', ca)
    expect(stderr).toMatch(/^error: file ".*" does not contain valid PEM certificates\n {7}.*--cafile/)
    expect(code).toBe(66)
  })
})
