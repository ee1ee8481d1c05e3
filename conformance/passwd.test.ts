// Tests `inferwire passwd` with the real Mosquitto and mosquitto_passwd: each tool reads and changes the other's files.
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readAccess, startBroker, startStack } from '@inferwire/dev'
import {
  aclText,
  hashPassword,
  lintPasswordFile,
  parsePasswordFile,
  setUser,
  verifyLogin,
} from '@inferwire/mosquitto'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { inferwire, inTerminal } from './fixtures/inferwire.ts'
import { startMosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { run, type CommandResult } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'

const folder = tempFolder('passwd')
const NOT_AUTHORIZED = 135
// User names and passwords that parsers of password files have misread.
const LOGINS: readonly (readonly [string, string])[] = [
  ['plain', 'secret'],
  ['cam-7.hall_2@plant', 'with:colon:'],
  ['dollars', '$6$not$a$hash'],
  ['spaces', ' two  words '],
  ['umlaut', 'pässwörd-密码-😀'],
  ['long', 'x'.repeat(200)],
]

describe('users made by inferwire passwd', () => {
  test.each(['sha512', 'sha512-pbkdf2'])(
    'log in to Mosquitto with their %s-hashed password, and with no other password',
    async (algorithm) => {
      const file = join(folder, `ours-${algorithm}`)
      for (const [index, [user, password]] of LOGINS.entries()) {
        const create = index === 0 ? ['-c'] : []
        // The passwords are given alternately as an argument and through a pipe.
        const made =
          index % 2 === 0
            ? await passwd([...create, '-H', algorithm, '-b', file, user, password])
            : await passwd([...create, '-H', algorithm, file, user], `${password}\n`)
        expect(made).toEqual({ code: 0, stdout: '', stderr: '' })
      }
      const broker = await startMosquitto({ passwordFile: file, acl: aclText() })
      for (const [user, password] of LOGINS) {
        expect(await logsIn(broker.url, user, password), user).toBe(true)
        expect(await logsIn(broker.url, user, `${password}x`), user).toBe(false)
      }
      expect(await logsIn(broker.url, 'plain', 'with:colon:')).toBe(false)
      expect(await logsIn(broker.url, 'eve', 'secret')).toBe(false)
      // No line was rejected. Mosquitto prints these two warnings for rules without a user name.
      expect(broker.log().match(/(?:Error|Warning).*/g)).toEqual([
        "Warning: ACL pattern 'infer/models/#' does not contain '%c' or '%u'.",
        "Warning: ACL pattern 'infer/status/#' does not contain '%c' or '%u'.",
      ])
      await broker.stop()
    },
  )

  test('can use only topics that contain their own name if Mosquitto has the access rules', async () => {
    const file = await fileOf([...LOGINS, ['inferwire', 'c']])
    const broker = await startMosquitto({ passwordFile: file, acl: aclText({ observers: ['plain'] }) })
    const connector = await TestClient.connect(broker.url, { username: 'inferwire', password: 'c' })
    await connector.subscribe('infer/request/#')
    const dollars = await TestClient.connect(broker.url, { username: 'dollars', password: '$6$not$a$hash' })
    expect(await dollars.publish('infer/request/dollars/iris', '{}')).toBe(0)
    expect(await dollars.publish('infer/request/plain/iris', '{}')).toBe(NOT_AUTHORIZED)
    expect((await connector.wait(() => true)).topic).toBe('infer/request/dollars/iris')
    // These are the subscriptions of MQTT Explorer.
    const explorer = await TestClient.connect(broker.url, { username: 'plain', password: 'secret' })
    await explorer.subscribe('#')
    await explorer.subscribe('$SYS/#')
    await connector.publish('infer/models/iris', '{}', undefined, true)
    await explorer.wait(({ topic }) => topic === 'infer/models/iris')
    await explorer.wait(({ topic }) => topic.startsWith('$SYS/'))
    for (const client of [connector, dollars, explorer]) await client.close()
    await broker.stop()
  })

  test('are deleted and changed in a running Mosquitto after SIGHUP', async () => {
    const file = await fileOf([
      ['ann', 'a'],
      ['bob', 'b'],
    ])
    const broker = await startMosquitto({ passwordFile: file })
    expect((await passwd(['-D', file, 'ann'])).code).toBe(0)
    expect((await passwd(['-b', file, 'bob', 'new'])).code).toBe(0)
    process.kill(broker.pid, 'SIGHUP')
    await expect.poll(() => logsIn(broker.url, 'ann', 'a')).toBe(false)
    expect(await logsIn(broker.url, 'bob', 'b')).toBe(false)
    expect(await logsIn(broker.url, 'bob', 'new')).toBe(true)
    await broker.stop()
  })
})

describe('users made by mosquitto_passwd', () => {
  test.each([[['-H', 'sha512']], [['-H', 'sha512-pbkdf2']], [[]]])(
    'are verified by inferwire passwd and log in to the embedded broker (options of mosquitto_passwd: %j)',
    async (options) => {
      const file = join(folder, `theirs${options.join('')}`)
      writeFileSync(file, '', { mode: 0o600 })
      for (const [user, password] of LOGINS) {
        expect((await run('mosquitto_passwd', [...options, '-b', file, user, password])).code).toBe(0)
      }
      expect(await passwd(['--lint', file])).toMatchObject({
        code: 0,
        stdout: `${file}: 6 users, no mistakes\n`,
      })
      expect(await passwd(['--verify', '-b', file, 'plain', 'secret'])).toMatchObject({ code: 0, stderr: '' })
      expect(await passwd(['--verify', file, 'plain'], 'wrong\n')).toMatchObject({ code: 77 })
      const parsed = parsePasswordFile(readFileSync(file, 'utf8'))
      const broker = await startBroker('embedded', { mqttPort: 0, wsPort: 0, access: readAccess(file) })
      for (const [user, password] of LOGINS) {
        expect(await verifyLogin(parsed, user, password), user).toBe(true)
        expect(await verifyLogin(parsed, user, `${password}x`), user).toBe(false)
        expect(await logsIn(broker.url, user, password), user).toBe(true)
        expect(await logsIn(broker.url, user, `${password}x`), user).toBe(false)
      }
      await broker.close()
    },
  )

  test('can be in the same file as users made by inferwire passwd, and either tool can change all passwords', async () => {
    const file = join(folder, 'shared')
    writeFileSync(file, 'ann:a\nbob:b\n', { mode: 0o600 })
    expect(await passwd(['-U', file])).toMatchObject({ code: 0, stderr: `${file}: hashed 2 passwords\n` })
    expect(await passwd(['-U', file])).toMatchObject({ code: 0, stderr: `${file}: hashed 0 passwords\n` })
    expect((await run('mosquitto_passwd', ['-b', file, 'cid', 'c'])).code).toBe(0)
    expect((await run('mosquitto_passwd', ['-b', file, 'ann', 'a2'])).code).toBe(0)
    expect((await run('mosquitto_passwd', ['-D', file, 'bob'])).code).toBe(0)
    expect((await passwd(['-b', file, 'cid', 'c2'])).code).toBe(0)
    const plain = join(folder, 'plain')
    writeFileSync(plain, 'dan:d\n')
    expect((await run('mosquitto_passwd', ['-U', plain])).code).toBe(0)
    writeFileSync(file, readFileSync(file, 'utf8') + readFileSync(plain, 'utf8'))
    const broker = await startMosquitto({ passwordFile: file })
    const who = [
      ['ann', 'a2', true],
      ['ann', 'a', false],
      ['bob', 'b', false],
      ['cid', 'c2', true],
      ['dan', 'd', true],
    ] as const
    for (const [user, password, isIn] of who) {
      expect(await logsIn(broker.url, user, password), `${user} ${password}`).toBe(isIn)
      expect((await passwd(['--verify', '-b', file, user, password])).code).toBe(isIn ? 0 : 77)
    }
    await broker.stop()
  })
})

describe('lint', () => {
  const salt64 = Buffer.alloc(64, 1).toString('base64')
  const salt12 = Buffer.alloc(12, 1).toString('base64')
  const digest = Buffer.alloc(64, 1).toString('base64')

  test('reports exactly the users whom Mosquitto ignores', async () => {
    const good = readFileSync(await fileOf([['good', 'x']]), 'utf8')
      .split(':')[1]!
      .trim()
    const lines = {
      good,
      longsalt: `$7$1000$${salt64}$${digest}`,
      shortsalt: `$6$${salt12.slice(4)}$${digest}`,
      plain: 'secret',
      shorthash: `$6$${salt12}$${salt12}`,
      nohash: `$6$${salt12}`,
      noiterations: `$7$0$${salt12}$${digest}`,
      notbase64: `$6$${salt12}$***`,
      argon: '$argon2id$v=19$m=47104,t=1,p=1$c2FsdA$aGFzaA',
      crlf: `${good}\r`,
      'two words': good,
    }
    const text = Object.entries(lines)
      .map(([user, secret]) => `${user}:${secret}\n`)
      .join('')
    const file = join(folder, 'dropped')
    writeFileSync(file, text, { mode: 0o600 })
    const broker = await startMosquitto({ passwordFile: file })
    const dropped = [...broker.log().matchAll(/for user (.*), removing entry/g)].map(([, user]) => user)
    const found = lintPasswordFile(text).filter(({ level }) => level === 'error')
    expect(found.map(({ line }) => Object.keys(lines)[line! - 1])).toEqual(
      Object.keys(lines).filter((user) => dropped.includes(user)),
    )
    for (const user of ['good', 'crlf', 'two words']) expect(await logsIn(broker.url, user, 'x')).toBe(true)
    await broker.stop()
  })

  test('reports which of two lines for the same user is ignored', async () => {
    const text =
      readFileSync(await fileOf([['ann', 'one']]), 'utf8') +
      readFileSync(await fileOf([['ann', 'two']]), 'utf8')
    const file = join(folder, 'twice')
    writeFileSync(file, text, { mode: 0o600 })
    expect(lintPasswordFile(text)).toMatchObject([{ line: 1, code: 'duplicate_user' }])
    const broker = await startMosquitto({ passwordFile: file })
    for (const [password, isIn] of [
      ['one', false],
      ['two', true],
    ] as const) {
      expect(await logsIn(broker.url, 'ann', password)).toBe(isIn)
      expect((await passwd(['--verify', '-b', file, 'ann', password])).code).toBe(isIn ? 0 : 77)
    }
    await broker.stop()
  })

  test.each([
    ['\n', 'blank_line'],
    ['# users\n', 'comment_without_colon'],
  ])('warns that mosquitto_passwd deletes all users below the line %j', async (line, code) => {
    const below = readFileSync(await fileOf([['below', 'x']]), 'utf8')
    expect(lintPasswordFile(line + below)).toMatchObject([{ line: 1, code, level: 'warning' }])
    const [theirs, ours] = [join(folder, 'below-theirs'), join(folder, 'below-ours')]
    for (const file of [theirs, ours]) writeFileSync(file, line + below, { mode: 0o600 })
    await run('mosquitto_passwd', ['-b', theirs, 'new', 'x'])
    await passwd(['-b', ours, 'new', 'x'])
    expect(readFileSync(theirs, 'utf8')).not.toContain('below:')
    expect(readFileSync(ours, 'utf8').startsWith(line + below)).toBe(true)
  })

  test('prints file, line and remedy, and exits with 65 if a user cannot log in', async () => {
    const file = join(folder, 'lint')
    writeFileSync(file, `ann:$7$1000$${salt64}$${digest}\na/b:$6$${salt12}$${digest}\nnothing\n+:x\0\r\n`)
    chmodSync(file, 0o644)
    const { code, stdout } = await passwd(['--lint', file])
    expect(code).toBe(65)
    const places = stdout.match(/^.*?: (?:error|warning)(?=: )/gm)
    expect(places).toEqual([
      `${file}: warning`,
      `${file}:1: error`,
      `${file}:2: error`,
      `${file}:3: error`,
      `${file}:4: warning`,
      `${file}:4: error`,
      `${file}:4: error`,
      `${file}:4: error`,
    ])
    expect(stdout).toMatch(/Mosquitto 2\.0 ignores the user\. Set the password again: inferwire passwd/)
  })
})

describe('a manifest', () => {
  test.each(['configmap', 'secret'] as const)('contains the file byte for byte (kind: %s)', async (kind) => {
    const file = await fileOf(LOGINS)
    const { code, stdout, stderr } = await passwd([`--${kind}`, 'mosquitto-password', file])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const manifest = parse(stdout) as { data: Record<string, string> }
    expect(manifest).toMatchObject({
      apiVersion: 'v1',
      kind: kind === 'secret' ? 'Secret' : 'ConfigMap',
      metadata: { name: 'mosquitto-password', namespace: 'mosquitto' },
    })
    const value = manifest.data['password.txt']!
    const text = kind === 'secret' ? Buffer.from(value, 'base64').toString() : value
    expect(text).toBe(readFileSync(file, 'utf8'))
  })

  test('has the given namespace and key', async () => {
    const file = await fileOf([['ann', 'a']])
    const { stdout } = await passwd(['--secret', 'users', '--namespace', 'edge', '--key', 'passwd', file])
    expect(parse(stdout)).toMatchObject({
      metadata: { name: 'users', namespace: 'edge' },
      data: { passwd: expect.any(String) as string },
    })
  })

  test('is printed with a hint to use kubectl apply --server-side if it has many users', async () => {
    const [line] = readFileSync(await fileOf([['ann', 'a']]), 'utf8').split('\n') as [string]
    const file = join(folder, 'many')
    writeFileSync(
      file,
      Array.from({ length: 2500 }, (_, index) => `${line.replace('ann', `u${index}`)}\n`).join(''),
    )
    for (const kind of ['--configmap', '--secret']) {
      const { code, stderr } = await passwd([kind, 'x', file])
      expect(code).toBe(0)
      expect(stderr).toContain('kubectl apply --server-side')
    }
  })

  test('is not printed for a file that a broker would reject', async () => {
    const file = join(folder, 'unhashed')
    writeFileSync(file, 'ann:secret\n')
    const { code, stdout, stderr } = await passwd(['--configmap', 'x', file])
    expect({ code, stdout }).toEqual({ code: 65, stdout: '' })
    expect(stderr).toContain(`${file}:1: error: user "ann" has a password in plain text`)
    expect(stderr).not.toContain('secret')
  })
})

describe('on a terminal', () => {
  test('the password is prompted for twice, without echo', async () => {
    const file = join(folder, 'typed')
    const { code, stdout } = await inTerminal(['passwd', '-c', file, 'ann'], {
      answers: ['hid den\r', 'hid den\r'],
    })
    expect(code).toBe(0)
    expect(stdout).toBe('Password: \r\nReenter password: \r\n')
    expect((await passwd(['--verify', '-b', file, 'ann', 'hid den'])).code).toBe(0)
  })

  test.each([
    ['two different passwords', ['one\r', 'two\r'], 64],
    ['Ctrl-C', ['on\u0003'], 130],
    ['Ctrl-D', ['\u0004'], 64],
  ])('the file stays unchanged after %s', async (_what, answers, code) => {
    const file = await fileOf([['ann', 'a']])
    const before = readFileSync(file, 'utf8')
    expect(await inTerminal(['passwd', file, 'ann'], { answers })).toMatchObject({ code })
    expect(readFileSync(file, 'utf8')).toBe(before)
  })
})

describe('mistakes', () => {
  test.each([
    [['FILE'], 64, 'no user was given'],
    [['FILE', 'a/b'], 64, 'two topic levels'],
    [['FILE', '+'], 64, 'wildcard'],
    [['FILE', 'a#'], 64, 'wildcard'],
    [['FILE', 'a:b'], 64, '":"'],
    [['FILE', ''], 64, 'is empty'],
    [['-b', 'FILE', 'ann', ''], 64, 'is empty'],
    [['FILE', 'ann', 'secret'], 64, 'without -b'],
    [['-b', 'FILE', 'ann'], 64, '-b requires'],
    [['-D', '-U', 'FILE'], 64, '-D and -U cannot be combined'],
    [['-U', 'FILE', 'ann'], 64, 'accepts only a file'],
    [['--lint', '-I', '5', 'FILE'], 64, '-I cannot be combined with --lint'],
    [['-H', 'sha512', '-I', '5', 'FILE', 'ann'], 64, 'no iterations'],
    [['-H', 'md5', 'FILE', 'ann'], 64, 'Allowed choices'],
    [['-I', '0', 'FILE', 'ann'], 64, 'whole number'],
    [['--configmap', 'Not_A_Name', 'FILE'], 64, 'name of an object'],
    [['-D', 'FILE', 'eve'], 65, 'is not in'],
    [['--verify', '-b', 'FILE', 'eve', 'x'], 77, 'is not in'],
    [['-b', 'FILE/none', 'ann', 'x'], 66, 'cannot be read'],
    [['--lint', 'FILE/none'], 66, 'cannot be read'],
    [['-c', '-b', 'FILE/none', 'ann', 'x'], 66, 'cannot be written'],
  ])('%j exits with %d: %s', async (words, code, message) => {
    const file = await fileOf([['ann', 'a']])
    const before = readFileSync(file, 'utf8')
    const ended = await passwd(words.map((word) => word.replace('FILE', file)))
    expect(ended).toMatchObject({ code, stdout: '' })
    expect(ended.stderr).toContain(message)
    expect(readFileSync(file, 'utf8')).toBe(before)
  })

  test.each([
    ['', 'is empty'],
    ['\n', 'is empty'],
    ['one\ntwo\n', 'differ'],
    ['one\none\none\n', 'more than two lines'],
    ['a\0b\n', 'NUL'],
    [Buffer.from([0x61, 0xff, 0x0a]), 'not UTF-8'],
    ['x'.repeat(200_000), 'longer than a password can be'],
  ])('are reported for the standard input %j', async (input, message) => {
    const file = await fileOf([['ann', 'a']])
    const { code, stderr } = await passwd([file, 'ann'], input)
    expect(code).toBe(64)
    expect(stderr).toContain(input === '' ? 'no password was given' : message)
  })

  test('prevent -U from changing the file, and are listed with their line numbers', async () => {
    const file = join(folder, 'half')
    const text = 'ann:a\na/b:x\nnothing\nbob:$6$broken\n'
    writeFileSync(file, text, { mode: 0o600 })
    const { code, stderr } = await passwd(['-U', file])
    expect(code).toBe(65)
    expect(stderr.match(/line \d/g)).toEqual(['line 2', 'line 3', 'line 4'])
    expect(readFileSync(file, 'utf8')).toBe(text)
  })
})

describe('inferwire dev --users', () => {
  test('admits the users in the file and answers their requests', async () => {
    const file = await fileOf([['cam7', 'c']])
    const stack = await startStack({
      mqttPort: 0,
      wsPort: 0,
      httpPort: 0,
      adminPort: 0,
      broker: 'embedded',
      users: file,
      models: [],
    })
    const { url } = stack.broker
    expect(await logsIn(url, 'cam7', 'wrong')).toBe(false)
    const asking = ['infer', 'iris', '-d', '{"instances":[[6.8,2.8,4.8,1.4]]}', '--broker', url]
    const asked = await inferwire([...asking, '-u', 'cam7', '-P', 'c'])
    expect(asked).toMatchObject({ code: 0, stdout: expect.stringContaining('predictions') as string })
    expect((await inferwire([...asking, '-u', 'cam7', '-P', 'c', '--client', 'demo'])).code).toBe(77)
    expect((await inferwire(asking)).code).toBe(77)
    await stack.close()
  })

  test('suggests inferwire passwd -c if there is no such file', async () => {
    const { code, stderr } = await inferwire(['dev', '--users', join(folder, 'none')])
    expect(code).toBe(69)
    expect(stderr).toContain('inferwire passwd -c')
  })
})

function passwd(words: readonly string[], input: string | Uint8Array = ''): Promise<CommandResult> {
  return inferwire(['passwd', ...words], { input })
}

let files = 0

// Writes the file that the command would write, but without a process for each user.
async function fileOf(logins: readonly (readonly [string, string])[]): Promise<string> {
  files += 1
  const file = join(folder, `file-${files}`)
  let text = ''
  for (const [user, password] of logins) {
    text = setUser(text, user, await hashPassword(password, { iterations: 101 }))
  }
  writeFileSync(file, text, { mode: 0o600 })
  return file
}

async function logsIn(url: string, username: string, password: string): Promise<boolean> {
  try {
    const client = await TestClient.connect(url, { username, password })
    await client.close()
    return true
  } catch (error) {
    if ((error as { code?: number }).code === NOT_AUTHORIZED) return false
    throw error
  }
}
