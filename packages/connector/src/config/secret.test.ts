// Uses a canary for every secret, and checks that no printed form contains the canary.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { ConfigError } from './config-error.ts'
import { loadConfig } from './load.ts'
import { parseModelFlag } from './model-flag.ts'
import { readPassword } from './password.ts'
import { printConfig } from './print.ts'
import { Secret } from './secret.ts'

const CANARY = 'hunter2-canary'

test('a secret is printed as *** in every form, and is returned only by reveal()', () => {
  const secret = new Secret(CANARY)
  const forms = [
    String(secret),
    JSON.stringify({ secret }),
    inspect(secret, { showHidden: true }),
    inspect({ secret }),
  ]
  for (const form of forms) expect(form).toContain('***')
  expect(
    [...forms, Object.keys(secret).join(), JSON.stringify(structuredClone(secret))].join(),
  ).not.toContain(CANARY)
  expect(secret.reveal()).toBe(CANARY)
})

test('never shows the password of a loaded configuration', () => {
  const env = { INFERWIRE_BROKER_USERNAME: 'me', INFERWIRE_BROKER_PASSWORD: CANARY }
  const config = loadConfig({ env })
  const forms = [
    JSON.stringify(config),
    inspect(config, { depth: 9 }),
    printConfig(config),
    String(config.broker.password),
  ]
  expect(forms.join()).not.toContain(CANARY)
  expect(forms[2]).toContain('***')
  expect(readPassword(config.broker)).toBe(CANARY)
})

test('removes a byte order mark from the password file, and rejects other encodings', () => {
  const folder = mkdtempSync(join(tmpdir(), 'inferwire-secret-'))
  const passwordFile = join(folder, 'password')
  try {
    writeFileSync(passwordFile, `\ufeff${CANARY}\r\n`)
    expect(readPassword({ password: undefined, passwordFile })).toBe(CANARY)
    writeFileSync(passwordFile, Buffer.from(`\ufeff${CANARY}`, 'utf16le'))
    expect(() => readPassword({ password: undefined, passwordFile })).toThrow(
      /Password file ".*" is not UTF-8/,
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test.each([
  { INFERWIRE_BROKER_URL: `mqtt://me:${CANARY}@h` },
  { INFERWIRE_BROKER_URL: `mqtt//me:${CANARY}@h` },
  { INFERWIRE_BROKER_URL: `me:${CANARY}@h:1883` },
  { INFERWIRE_BROKER_URL: `mqtt://me:/${CANARY}@x@h` },
  { INFERWIRE_BROKER_PASWORD: CANARY },
  // A password without a user name is a mistake.
  { INFERWIRE_BROKER_PASSWORD: CANARY },
])('shows no secret in the mistakes reported for %j', (env) => {
  let error: unknown
  try {
    loadConfig({ env })
  } catch (thrown) {
    error = thrown
  }
  expect(error).toBeInstanceOf(ConfigError)
  expect(inspect(error, { depth: 9 }) + JSON.stringify(error) + String(error)).not.toContain(CANARY)
})

test.each([`iris=http://me:${CANARY}@h,x=1`, `iris=http://me:p,${CANARY}@h`, `iris@=http://me:${CANARY}@h`])(
  'shows no secret in the mistake reported for --model %s',
  (flag) => {
    expect(() => parseModelFlag(flag)).toThrow(ConfigError)
    expect(() => parseModelFlag(flag)).not.toThrow(CANARY)
  },
)
