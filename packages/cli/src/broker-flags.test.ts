import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { addBrokerFlags, brokerTarget, portOf, type BrokerFlags, type BrokerTarget } from './broker-flags.ts'
import { CliError } from './cli-error.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'inferwire-cli-'))
  writeFileSync(join(folder, 'password'), 'from file\n')
  writeFileSync(join(folder, 'longest'), `\ufeff${'x'.repeat(65_535)}\r\n`)
  writeFileSync(join(folder, 'large'), '')
  truncateSync(join(folder, 'large'), 600_000_000)
})
afterAll(() => rmSync(folder, { recursive: true }))

function flagsOf(...argv: string[]): BrokerFlags {
  const command = addBrokerFlags(new Command('x'))
    .exitOverride()
    .configureOutput({ writeErr: () => {}, writeOut: () => {} })
  return command.parse(argv, { from: 'user' }).opts<BrokerFlags>()
}

function target(argv: string[], env: NodeJS.ProcessEnv = {}): BrokerTarget {
  return brokerTarget(flagsOf(...argv), env)
}

test('defaults to the local broker, MQTT 5 and the client level "cli"', () => {
  const { url, identity, mqttVersion, timeoutMs, topics, username } = target([])
  expect(url.href).toBe('mqtt://127.0.0.1:1883')
  expect({ identity, mqttVersion, timeoutMs, root: topics.root, username }).toEqual({
    identity: 'cli',
    mqttVersion: 5,
    timeoutMs: 10_000,
    root: 'infer',
    username: undefined,
  })
})

test('the option letters have the same meaning as in mosquitto_pub', () => {
  const { url, username, password, mqttVersion, identity } = target([
    '-h',
    'broker.example',
    '-p',
    '1884',
    '-u',
    'ann',
    '-P',
    'pw',
    '-V',
    '311',
  ])
  expect(url.href).toBe('mqtt://broker.example:1884')
  expect({ username, password, mqttVersion, identity }).toEqual({
    username: 'ann',
    password: 'pw',
    mqttVersion: '3.1.1',
    identity: 'ann',
  })
})

test('-h without a value shows the help', () => {
  expect(() => flagsOf('-h')).toThrow(expect.objectContaining({ code: 'commander.help', exitCode: 0 }))
  expect(() => flagsOf('-h', '-p', '1')).toThrow(CommanderError)
})

test('accepts IPv6 addresses, and uses TLS for port 8883', () => {
  expect(target(['-h', '::1']).url.href).toBe('mqtt://[::1]:1883')
  expect(target(['-p', '8883']).url.protocol).toBe('mqtts:')
  expect(portOf(target(['--broker', 'wss://broker.example/mqtt']).url)).toBe(443)
})

test('removes user name and password from the URL', () => {
  const { url, username, password } = target(['--broker', 'mqtts://line-3:a%20b@edge:8883'])
  expect(url.href).not.toMatch(/line-3|a%20b/)
  expect({ username, password }).toEqual({ username: 'line-3', password: 'a b' })
})

test('reads missing flags from the environment; flags take precedence', () => {
  const env = {
    INFERWIRE_BROKER_URL: 'mqtt://other:1999',
    INFERWIRE_BROKER_USERNAME: 'env-user',
    INFERWIRE_BROKER_PASSWORD: 'env-password',
    INFERWIRE_ROOT: 'plant/infer',
  }
  expect(target([], env)).toMatchObject({
    username: 'env-user',
    password: 'env-password',
    identity: 'env-user',
  })
  expect(target([], env).url.href).toBe('mqtt://other:1999')
  expect(target([], env).topics.root).toBe('plant/infer')
  expect(target(['-h', 'here'], env).url.href).toBe('mqtt://here:1883')
  expect(target(['--root', 'r'], env).topics.root).toBe('r')
})

test('removes the last line break of a password file', () => {
  expect(target(['-u', 'ann', '--password-file', join(folder, 'password')]).password).toBe('from file')
  expect(target(['-u', 'ann', '--password-file', join(folder, 'longest')]).password).toHaveLength(65_535)
})

test.each([
  [['-P', 'pw'], 64, /without a user name/],
  [['-u', 'a', '-P', 'pw', '--password-file', 'f'], 64, /together/],
  [['--broker', 'mqtt://a', '-h', 'b'], 64, /together/],
  [['--broker', 'http://a'], 64, /broker URL is not valid/],
  [['--broker', 'mqtt://user:secret@'], 64, /broker URL is not valid/],
  [['--cafile', 'ca.pem'], 64, /requires TLS/],
  [['--broker', 'mqtt://u:secret%@h'], 64, /password in the broker URL/],
  [['-h', 'a b'], 64, /not a host/],
  [['-h', 'localhost?foo'], 64, /not a host/],
  [['-h', 'localhost#foo'], 64, /not a host/],
  [['-h', 'localhost/?foo'], 64, /not a host/],
  [['-h', 'user@host'], 64, /not a host/],
  [['--client', 'a/b'], 64, /client level/],
  [['--root', 'a/+'], 64, /not a topic name/],
  [['-u', 'a', '--password-file', '/does/not/exist'], 66, /cannot be read/],
])('rejects %j with exit code %i', (argv, exitCode, message) => {
  const error = (() => {
    try {
      return target(argv)
    } catch (error) {
      return error
    }
  })()
  expect(error).toBeInstanceOf(CliError)
  expect(error).toMatchObject({ exitCode })
  expect((error as CliError).message).toMatch(message)
  expect((error as CliError).message).not.toMatch(/secret/)
  expect((error as CliError).remedy).not.toBe('')
})

test('rejects a password file of 600 MB as too large, not as invalid UTF-8', () => {
  expect(() => target(['-u', 'ann', '--password-file', join(folder, 'large')])).toThrow(
    /large" is larger than the longest password that MQTT allows/,
  )
})

test.each([
  ['-p', 'x'],
  ['-p', '65536'],
  ['-V', '4.0'],
  ['-t', '0'],
  ['-t', 'soon'],
  ['-t', '-1'],
])('Commander rejects %s %s', (...argv) => {
  expect(() => flagsOf(...argv)).toThrow(CommanderError)
})
