// Tests that the reference page and the JSON Schema contain every option.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { allOptions } from './all-options.ts'
import { FRONT_PAGE } from './front-page.ts'
import { configJsonSchema } from './json-schema.ts'
import { loadConfig } from './load.ts'
import { configMarkdown } from './markdown.ts'
import { LOCALHOST } from './testing/certificates.ts'

const folder = mkdtempSync(join(tmpdir(), 'inferwire-reference-'))
const certificate = join(folder, 'ca.crt')
writeFileSync(certificate, LOCALHOST.cert)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const page = configMarkdown()
const [frontPage = '', advancedPage = ''] = page.split('\n## Advanced options\n')

test('the page documents every option once, advanced options last', () => {
  for (const { path, text } of allOptions()) {
    const row = `| \`${path.join('.')}\` |`
    const [here, elsewhere] = text.isAdvanced === true ? [advancedPage, frontPage] : [frontPage, advancedPage]
    expect(here.split(row)).toHaveLength(2)
    expect(elsewhere).not.toContain(row)
    expect(page).toContain(text.description)
  }
  expect(page).toContain(
    '| `broker.connectTimeoutMs` | 100 to 600000 ms | `10000` | Time limit for a connection attempt',
  )
  expect(page).not.toMatch(/undefined|null|\[object/)
})

test('the page documents the keys of a credential', () => {
  expect(frontPage).toContain(
    '| `credentials.*.kind` | `token-file`, `static-header`, `oauth-client-credentials`, `oauth-token-exchange`, `mtls` |',
  )
  for (const key of ['tokenFile', 'name', 'valueFile', 'tokenUrl', 'clientSecretFile', 'subjectTokenFile']) {
    expect(frontPage.split(`| \`credentials.*.${key}\` | text |  | `)).toHaveLength(2)
  }
  expect(frontPage).toContain('| `models.*.credential` | text, or a map | ')
})

test('the page documents the keys of a rule', () => {
  expect(frontPage).toContain('| `policy.allow[].clients` | list |  | ')
  expect(frontPage).toContain('| `policy.allow[].priorityMax` | 0 to 9 | `4` | ')
  expect(frontPage).toContain('| `policy.allow[].rate.requestsPerSecond` | a number up to 1000000 |  | ')
})

test('every option that is not advanced belongs to one group of the front page', () => {
  const common = allOptions().filter(({ text }) => text.isAdvanced !== true)
  const grouped = FRONT_PAGE.flatMap(({ options }) => options)
  expect([...grouped].sort()).toEqual(common.map(({ path }) => path.join('.')).sort())
  expect(common.length).toBeLessThanOrEqual(34)
})

test.each(FRONT_PAGE)('the example for "$title" loads', ({ example }) => {
  const file = join(folder, 'example.yaml')
  writeFileSync(file, stringify(withFiles(parse(example))))
  expect(loadConfig({ file, env: {} })).toMatchObject(withFiles(parse(example)) as object)
})

// The files that an example names do not exist here.
function withFiles(value: unknown, key = ''): unknown {
  if (key.endsWith('File')) return certificate
  if (Array.isArray(value)) return value.map((item) => withFiles(item))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, withFiles(item, name)]))
}

test('the page has short table cells, and lines of at most 120 columns', () => {
  for (const line of page.split('\n')) {
    if (!line.startsWith('|')) expect(line.length).toBeLessThanOrEqual(120)
    for (const cell of line.split(' | ')) expect(cell.length).toBeLessThanOrEqual(120)
  }
})

test('the name of an option with a unit of time ends in the unit', () => {
  const options = allOptions().filter(({ text }) => text.unit === 'ms' || text.unit === 's')
  for (const { path, text } of options) expect(path.at(-1)).toMatch(text.unit === 'ms' ? /Ms$/ : /Seconds$/)
})

test('the JSON Schema allows neither unknown keys nor secrets', () => {
  const schema = configJsonSchema() as {
    $schema: string
    properties: Record<string, { properties: Record<string, unknown>; additionalProperties: unknown }>
  }
  expect(schema.$schema).toBe('https://json-schema.org/draft/2020-12/schema')
  expect(schema.properties['broker']).toMatchObject({
    additionalProperties: false,
    properties: {
      mqttVersion: { enum: [5, '3.1.1'] },
      keepAliveSeconds: { minimum: 1, maximum: 65_535 },
    },
  })
  expect(schema.properties['broker']!.properties).not.toHaveProperty('password')
  expect(JSON.stringify(schema)).not.toMatch(/isFile|isSecret|isAdvanced|defaultText|"details"/)
  expect(schema.properties['models']).toMatchObject({ additionalProperties: { required: ['url'] } })
})

test('the JSON Schema marks the advanced options', () => {
  const { properties } = configJsonSchema() as {
    properties: Record<string, { properties: Record<string, unknown> }>
  }
  const broker = properties['broker']!.properties
  expect(broker['ackOrder']).toMatchObject({ 'x-advanced': true })
  expect(broker['url']).not.toHaveProperty('x-advanced')
})
