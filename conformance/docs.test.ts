// Checks the pages: links are valid, configurations load, commands exist, marked lines work.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { rootCertificates } from 'node:tls'
import { connect } from '@inferwire/client'
import { loadConfig, Secret } from '@inferwire/connector'
import { aclText } from '@inferwire/mosquitto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { commandWords, createProgram } from '../packages/cli/src/index.ts'
import { runConnector } from './fixtures/connector.ts'
import { INFERWIRE, startInferwire } from './fixtures/inferwire.ts'
import { startMosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { blocksOf, pageFiles, ROOT, type Block } from './fixtures/page-blocks.ts'
import { run, shell, start, type RunningCommand } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'

const PAGES = pageFiles()
const BLOCKS = PAGES.flatMap(blocksOf)

describe('links', () => {
  test.each(PAGES)('lead from %s to existing files and headings', (page) => {
    expect(linksOf(page).filter((link) => !leadsSomewhere(page, link))).toEqual([])
  })

  test('are found in the pages', () => {
    expect(PAGES.flatMap(linksOf).length).toBeGreaterThan(40)
  })
})

describe('configurations', () => {
  test.each(marked('config'))('$page:$line loads', ({ text }) => {
    const folder = tempFolder('docs')
    // Creates the files that the configuration names.
    const config = text.replaceAll(/(\w*[fF]ile): (\S+)/g, (_, key: string, path: string) => {
      const file = join(folder, path.replaceAll('/', '_'))
      writeFileSync(file, key === 'caFile' ? rootCertificates[0]! : 'content\n')
      return `${key}: ${file}`
    })
    const file = join(folder, 'inferwire.yaml')
    writeFileSync(file, config)
    const { models, discovery } = loadConfig({ file, env: {} })
    expect(discovery.enabled || Object.keys(models).length > 0).toBe(true)
  })
})

describe('commands', () => {
  const commands = BLOCKS.filter(({ language }) => language === 'sh').flatMap(({ page, text }) =>
    text.split('\n').flatMap((line) => {
      const found = /^(?:npx )?inferwire (.*)$/.exec(line.trim())
      return found === null ? [] : [{ page, line: line.trim(), words: shellWords(found[1]!) }]
    }),
  )
  const mentions = PAGES.flatMap((page) =>
    [...prose(page).matchAll(/`(?:npx )?inferwire ([^`]+)`/g)].map(([text, rest]) => ({
      page,
      line: text,
      words: shellWords(rest!),
    })),
  )

  test.each(commands)('$page: $line is a valid command line', ({ words }) => {
    expect(usageMistake(words)).toBe('')
  })

  // In a sentence, a command may appear without its arguments.
  test.each(mentions)('$page: the command $line exists', ({ words }) => {
    expect(usageMistake(words)).toMatch(/^(?:|error: missing required argument .*)$/)
  })

  test('are rejected if they do not exist', () => {
    expect(commands.length).toBeGreaterThan(10)
    expect(mentions.length).toBeGreaterThan(5)
    expect(usageMistake(['conect'])).toContain('unknown command')
    expect(usageMistake(['connect', '--brokr', 'x'])).toContain('unknown option')
    expect(usageMistake(['models', 'lss'])).toContain('unknown command')
    expect(usageMistake(['infer', 'iris', '--show', 'telnet'])).toContain('Allowed choices')
  })
})

test("the guide's access rules for requests, replies and cancels are the generated rules", () => {
  const printed = marked('acl').map(({ page, text }) => [page, text.trimEnd()])
  const made = aclText().trimEnd()
  expect(printed).toEqual([['docs/guides/connect-to-your-broker.md', made]])
})

test('mosquitto.conf in the guide has the values that the shipped broker has with a memory limit of 512 MiB', () => {
  const shipped = new Map(
    settings(readFileSync(join(ROOT, 'charts/inferwire/files/mosquitto-2.0.conf'), 'utf8')),
  )
  shipped
    .set('max_queued_messages', String(512 * 200))
    .set('max_queued_bytes', String((512 / 4) * 1024 * 1024))
  const shown = new Map(settings(marked('mosquitto')[0]!.text))
  const common = [
    'allow_anonymous',
    'autosave_interval',
    'max_inflight_messages',
    'max_packet_size',
    'max_queued_bytes',
    'max_queued_messages',
    'persistence',
    'persistent_client_expiration',
    'set_tcp_nodelay',
  ]
  expect(common.map((key) => [key, shown.get(key)])).toEqual(common.map((key) => [key, shipped.get(key)]))
})

function settings(conf: string): [string, string][] {
  return [...conf.matchAll(/^([a-z_]+) (.+)$/gm)].map(([, key, value]) => [key!, value!])
}

describe('with a running `npm start`', () => {
  let dev: RunningCommand
  let said: string
  let mqttPort: string
  let modelsUrl: string

  beforeAll(async () => {
    const ports = ['--mqtt-port', '--ws-port', '--http-port', '--admin-port'].flatMap((flag) => [flag, '0'])
    dev = startInferwire(['dev', ...ports], { cwd: ROOT })
    await dev.said(/Ctrl-C stops\./)
    said = dev.stdout()
    mqttPort = /mqtt:\/\/127\.0\.0\.1:(\d+)/.exec(said)![1]!
    modelsUrl = /Models +(\S+)/.exec(said)![1]!
  })

  afterAll(async () => {
    dev.signal('SIGTERM')
    await dev.ended
  })

  test('the output matches the output in README.md', () => {
    const shown = marked('start')[0]!.text.trimEnd()
    expect(anyFigures(said).startsWith(anyFigures(shown))).toBe(true)
  })

  test('the printed mosquitto_rr line is in README.md', () => {
    const lines = marked('run').filter(({ page }) => page === 'README.md')
    expect(lines).toHaveLength(1)
    expect(said).toContain(withPort(lines[0]!.text.trim()))
  })

  test('the printed mosquitto commands for a chat are in the tutorial, and show a stream', async () => {
    const [subscribe, publish] = ['sub', 'pub'].map((end) => {
      const line = new RegExp(`^ +(mosquitto_${end} .*)$`, 'm').exec(said)![1]!
      expect(withPort(read('docs/tutorial/first-prediction.md'))).toContain(`\n${line}\n`)
      return line
    })
    const subscriber = start('sh', ['-c', `exec ${subscribe!}`])
    // Sends the request again if the subscriber was not ready in time.
    await expect
      .poll(async () => {
        expect(await shell(publish!)).toMatchObject({ code: 0, stderr: '' })
        return subscriber.stdout()
      })
      .toContain('"delta":{"content":')
    await subscriber.said(/^\[DONE\]$/m)
    subscriber.signal('SIGTERM')
    await subscriber.ended
  })

  test.each(marked('run'))('$page:$line works as described', async ({ text, language, mark, output }) => {
    if (language === 'ts') {
      const ended = await run(process.execPath, ['--input-type=module', '-e', withPort(text)], { cwd: ROOT })
      expect(ended).toMatchObject({ code: 0, stderr: '' })
      return
    }
    // Runs this checkout's command directly: npx would run the same command, but starts more slowly.
    const line = withPort(text).replaceAll(/^npx inferwire /gm, `'${process.execPath}' '${INFERWIRE}' `)
    const env = { INFERWIRE_BROKER_URL: `mqtt://127.0.0.1:${mqttPort}` }
    const ended = await shell(`set -e\n${line}`, { cwd: ROOT, env })
    expect(ended, ended.stderr).toMatchObject({ code: Number(/\d+$/.exec(mark)?.[0] ?? 0) })
    if (output !== undefined) expect(ended.stdout.trim() || ended.stderr.trim()).toBe(output.trim())
  })

  test('the access rules in the guide allow each user only its own topics', async () => {
    const [acl] = marked('acl')
    const broker = await startMosquitto({
      users: { inferwire: 'i', cam7: 'c', bob: 'b' },
      acl: acl!.text,
    })
    const { connector } = await runConnector({
      broker: { url: broker.url, username: 'inferwire', password: new Secret('i') as never },
      models: { iris: { url: modelsUrl, protocolVersion: 'v1' } },
    })
    const cam7 = await connect(broker.url, { username: 'cam7', password: 'c' })
    expect(await cam7.predict('iris', [[6.8, 2.8, 4.8, 1.4]])).toEqual([1])
    expect((await cam7.models()).map(({ name }) => name)).toEqual(['iris'])
    await cam7.close()
    const [listening, device] = await Promise.all([
      TestClient.connect(broker.url, { username: 'inferwire', password: 'i' }),
      TestClient.connect(broker.url, { username: 'cam7', password: 'c' }),
    ])
    await listening.subscribe('infer/cancel/#')
    await device.publish('infer/cancel/bob/iris/predict/1', '')
    await device.publish('infer/cancel/cam7/iris/predict/1', '')
    await expect
      .poll(() => listening.received.map(({ topic }) => topic))
      .toEqual(['infer/cancel/cam7/iris/predict/1'])
    await Promise.all([listening.close(), device.close()])
    const bob = await connect(broker.url, { username: 'bob', password: 'b', identity: 'cam7' })
    await expect(bob.predict('iris', [[6.8, 2.8, 4.8, 1.4]])).rejects.toMatchObject({
      code: 'not_authorized',
    })
    await bob.close()
    await connector.stop()
    await broker.stop()
  })

  function withPort(text: string): string {
    return text.replaceAll(/\b1883\b/g, mqttPort)
  }
})

function read(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8')
}

function marked(kind: string): Block[] {
  const found = BLOCKS.filter(({ mark }) => mark === kind || mark.startsWith(`${kind}:`))
  if (found.length === 0) throw new Error(`No page has a block marked <!-- ${kind} -->.`)
  return found
}

// Returns a page without its fenced blocks.
function prose(page: string): string {
  return read(page).replaceAll(/^```[\s\S]*?^```$/gm, '')
}

function linksOf(page: string): string[] {
  const text = prose(page).replaceAll(/`[^`\n]*`/g, '')
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link]) => link!)
    .filter((link) => !/^[a-z][a-z+.-]*:/.test(link))
}

function leadsSomewhere(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#')
  const file = path === '' ? join(ROOT, page) : resolve(ROOT, dirname(page), path)
  // A relative link to a place outside the repository is broken for readers on GitHub.
  if (!file.startsWith(ROOT) || !existsSync(file)) return false
  if (anchor === undefined) return true
  return [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].some(([, title]) => slug(title!) === anchor)
}

// Converts headings to anchors as GitHub does.
function slug(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}

// Returns the words of a simple command up to a comment or a redirection, without expansions.
function shellWords(line: string): string[] {
  const words: string[] = []
  for (const [, single, double, bare] of line.matchAll(/'([^']*)'|"([^"]*)"|([^\s'"]+)/g)) {
    const word = single ?? double ?? bare!
    if (bare !== undefined && /^[#<>|;&]/.test(bare)) break
    words.push(word)
  }
  return words
}

// Parses the words without running the command; returns the error, or '' when they are valid.
function usageMistake(words: readonly string[]): string {
  let message = ''
  const program = createProgram()
  const silence = (command: typeof program): void => {
    command.exitOverride().configureOutput({ writeOut: () => {}, writeErr: () => {}, outputError: () => {} })
    if (command.commands.length === 0) command.action(() => {})
    for (const child of command.commands) silence(child)
  }
  silence(program)
  try {
    program.parse([...commandWords(program, words)], { from: 'user' })
  } catch (error) {
    const { code, message: text } = error as { code?: string; message: string }
    // A request for help is not a mistake. Neither is a command group without a command: it prints its help.
    if (!['commander.help', 'commander.helpDisplayed', 'commander.version'].includes(code ?? ''))
      message = text
  }
  return message
}

// Ports and times vary, and so do the widths of the columns that contain ports or times.
function anyFigures(text: string): string {
  return text
    .replaceAll(/(127\.0\.0\.1):\d+/g, '$1:PORT')
    .replaceAll(/\d+\.\d (s\b|ms\b)/g, 'N $1')
    .replaceAll(/ {2,}/g, '  ')
}
