// Checks the sources against the imports that ARCHITECTURE.md allows, and against further rules about packages and
// rooms.
import { readdirSync, readFileSync } from 'node:fs'
import { dialectNames } from '@inferwire/protocol'
import { describe, expect, test } from 'vitest'
import { checkSources, FILE_LINES_MAX, unitOf, type SourceFile } from './architecture/check-sources.ts'
import { findCircles } from './architecture/find-circles.ts'
import { findImports } from './architecture/find-imports.ts'
import { readImportTable } from './architecture/import-table.ts'

const ROOT = new URL('../', import.meta.url)

const importing = (name: string, ...imported: string[]): SourceFile => ({
  path: `conformance/chaos/${name}.ts`,
  text: imported.map((each) => `import type { A } from '${each}'`).join('\n'),
})

function sources(): SourceFile[] {
  return [...packageSources(), ...conformanceSources()]
}

function conformanceSources(): SourceFile[] {
  const folder = new URL('conformance/', ROOT)
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => /(?<!\.d)\.m?[jt]s$/.test(file))
    .map((file) => ({ path: `conformance/${file}`, text: readFileSync(new URL(file, folder), 'utf8') }))
}

function packageSources(): SourceFile[] {
  return readdirSync(new URL('packages', ROOT)).flatMap((name) => {
    const folder = new URL(`packages/${name}/src/`, ROOT)
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
      .map((file) => ({
        path: `packages/${name}/src/${file}`,
        text: readFileSync(new URL(file, folder), 'utf8'),
      }))
  })
}

describe('the sources', () => {
  test('import only what ARCHITECTURE.md allows', () => {
    const table = readImportTable(readFileSync(new URL('ARCHITECTURE.md', ROOT), 'utf8'))
    const checked = checkSources(sources(), table)
    expect(checked.violations).toEqual([])
    // An item for a unit that no longer exists would mislead readers.
    const units = new Set(sources().flatMap(({ path }) => [path.split('/')[1], unitOf(path)]))
    expect([...table.keys()].filter((unit) => !units.has(unit))).toEqual([])
    // Ensures that the checker has read the sources.
    expect(checked.files).toBeGreaterThanOrEqual(100)
    expect(checked.imports).toBeGreaterThanOrEqual(200)
  })

  test('contain the names of dialects only in the files that define the dialects', () => {
    const speaking = sources().filter(({ path }) =>
      /^packages\/(?:protocol|connector|client|cli)\//.test(path),
    )
    const names = dialectNames().join('|')
    // Finds a name as a whole literal, or as a segment of a path.
    const naming = speaking.filter(({ text }) =>
      new RegExp(`(['"\`])(?:${names})\\1|/(?:${names})/`).test(text),
    )
    expect(naming.map(({ path }) => path).sort()).toEqual([
      // In these four files, the names are versions of the APIs of Traefik and Kubernetes.
      'packages/cli/src/commands/manifests.ts',
      'packages/cli/src/doctor/cluster/kube-paths.ts',
      'packages/cli/src/manifests/manifest-flags.ts',
      'packages/connector/src/discovery/kube/namespace-set.ts',
      'packages/protocol/src/dialect/openai.ts',
      'packages/protocol/src/dialect/v1.ts',
      'packages/protocol/src/dialect/v2.ts',
    ])
  })

  test('import undici only in the files that decision 0001 lists', () => {
    const page = readFileSync(new URL('docs/decisions/0001-dependencies.md', ROOT), 'utf8')
    const [, named = ''] = /; only (.*) touch it\./.exec(page) ?? []
    const users = packageSources().filter(({ path, text }) =>
      findImports(path, text).some(({ specifier }) => specifier?.split('/')[0] === 'undici'),
    )
    const files = new Set(users.map(({ path }) => path.split('/').at(-1)))
    expect(files).toEqual(new Set(Array.from(named.matchAll(/`([^`]+)`/g), ([, file]) => file)))
    expect(files.size).toBeGreaterThan(0)
  })

  test('have no circular imports in conformance/', () => {
    expect(findCircles(conformanceSources())).toEqual([])
  })

  test('declare no dependencies in packages/protocol/package.json', () => {
    const manifest = readFileSync(new URL('packages/protocol/package.json', ROOT), 'utf8')
    const kinds = Object.keys(JSON.parse(manifest) as object).filter((key) => /dependencies$/i.test(key))
    expect(kinds).toEqual([])
  })
})

describe('the checker of imports', () => {
  const table = readImportTable(`
# Page
## Allowed imports

- \`protocol\`: nothing of ours
- \`client\`, \`connector\`, \`dev\`: \`protocol\`
- \`cli\`: \`connector\`, \`client\`, \`dev\` (only the dev command)
- \`connector/route\`, \`connector/session\`: \`connector/step\`,
  \`connector/telemetry\`
- \`connector/telemetry\`: nothing else
- \`connector/pipeline\`: \`connector/*\`
- \`connector/internal\`: \`connector/session\`
- \`conformance/*.test\`: \`conformance/*\`, \`cli\`, \`dev\`
- \`conformance/chaos\`, \`conformance/fixtures\`: \`connector\`
- \`conformance/fuzz\`: \`conformance/fixtures\`, \`connector/internal\`, \`connector/route\`, \`connector/step\`

Text about \`client\`.

## Afterwards

- \`protocol\`: \`client\`
`)
  const check = (path: string, text: string): readonly string[] => {
    const top = path.startsWith('conformance/') ? '' : 'packages/'
    return checkSources([{ path: `${top}${path}`, text }], table).violations
  }

  test('reads only the list in the section "Allowed imports"', () => {
    expect(table.get('protocol')).toEqual(new Set())
    expect(table.get('cli')).toEqual(new Set(['connector', 'client', 'dev']))
    expect(table.get('connector/session')).toEqual(new Set(['connector/step', 'connector/telemetry']))
    expect(() => readImportTable('# Page')).toThrow('no section')
    expect(() => readImportTable('## Allowed imports\nLater.\n')).toThrow('no items')
  })

  test.each([
    ["import { a } from './a.ts'"],
    ["import type { A } from './a.ts'"],
    ["import { type A } from './a.ts'"],
    ["import './a.ts'"],
    ["import a = require('./a.ts')"],
    ["export { a } from './a.ts'"],
    ["export * from './a.ts'"],
    ["export type * from './a.ts'"],
    ["type A = import('./a.ts').A"],
    ["const a = require('./a.ts')"],
    ["async function f() { return (await import('./a.ts')).a }"],
    ['const a = () => import(`./a.ts`)'],
  ])('finds the import in %s', (source) => {
    expect(findImports('x.ts', source).map(({ specifier }) => specifier)).toEqual(['./a.ts'])
  })

  test('ignores comments and strings that look like imports', () => {
    const source = "// import './a.ts'\nconst text = \"import './b.ts'\"\nexport const c = 1\nexport { text }"
    expect(findImports('x.ts', source)).toEqual([])
    expect(() => findImports('x.ts', 'import {')).toThrow('x.ts does not parse')
  })

  test.each([
    ['connector/src/route/a.ts', "import { P } from '@inferwire/protocol'"],
    ['connector/src/route/a.ts', "import type { T } from '../step.ts'"],
    ['connector/src/route/a.ts', "import { log } from '../telemetry/index.ts'"],
    ['connector/src/route/a.ts', "import { b } from './b.ts'"],
    ['connector/src/route/a.ts', "import { readFile } from 'node:fs/promises'"],
    ['connector/src/pipeline.ts', "import { r } from './route/index.ts'"],
    ['cli/src/commands/dev.ts', "const dev = () => import('@inferwire/dev')"],
    ['client/src/a.ts', "import mqtt from 'mqtt'"],
    ['connector/src/internal.ts', "export { s } from './session/outbox.ts'"],
    ['conformance/a.test.ts', "import { f } from './fixtures/deep/f.ts'"],
    ['conformance/a.test.ts', "import { startDev } from '@inferwire/dev'"],
    ['conformance/a.test.ts', "import { p } from '../packages/cli/src/index.ts'"],
    ['conformance/chaos/a.ts', "import { b } from './b.ts'"],
    ['conformance/fuzz/targets/a.ts', "import { f } from '../../fixtures/f.ts'"],
    ['conformance/fuzz/targets/a.ts', "import { r } from '../../../packages/connector/src/route/index.ts'"],
    ['conformance/fuzz/targets/a.ts', "import type { S } from '../../../packages/connector/src/step.ts'"],
    ['conformance/fuzz/targets/a.ts', "import { o } from '../../../packages/connector/src/internal.ts'"],
  ])('allows this line in %s: %s', (path, source) => {
    expect(check(path, source)).toEqual([])
  })

  test.each([
    ['connector/src/route/a.ts', "import { s } from '../session/index.ts'", 'table'],
    ['connector/src/route/a.ts', "import type { S } from '../session/index.ts'", 'table'],
    ['connector/src/route/a.ts', "export * from '../session/index.ts'", 'table'],
    ['connector/src/route/a.ts', "const s = import('../session/index.ts')", 'table'],
    ['connector/src/route/a.ts', "import { p } from '../pipeline.ts'", 'table'],
    ['connector/src/route/a.ts', "import { log } from '../telemetry/log.ts'", 'index.ts'],
    ['connector/src/route/deep/a.ts', "import { s } from '../../session/index.ts'", 'table'],
    ['connector/src/pipeline.ts', "import { r } from './route/model-table.ts'", 'index.ts'],
    ['connector/src/pipeline.ts', "import { r } from './route/inner/index.ts'", 'index.ts'],
    ['connector/src/unlisted.ts', "import { r } from './route/index.ts'", 'table'],
    ['connector/src/vault/a.ts', 'export const a = 1', 'no row'],
    ['warehouse/src/a.ts', 'export const a = 1', 'no row'],
    ['client/src/a.ts', "import { c } from '@inferwire/connector'", 'table'],
    ['cli/src/a.ts', "import { p } from '@inferwire/protocol/src/topic.ts'", 'entry point'],
    ['protocol/src/a.ts', "import { z } from 'zod'", 'no dependencies'],
    ['protocol/src/a.ts', "import { c } from '@inferwire/client'", 'no dependencies'],
    ['protocol/src/a.ts', "import { join } from 'node:path'", 'without Node.js'],
    ['client/src/a.ts', "import { Buffer } from 'buffer'", 'without Node.js'],
    ['client/src/a.ts', "const fs = import('node:fs')", 'without Node.js'],
    ['cli/src/commands/dev.ts', "import { runDev } from '@inferwire/dev'", 'dev command'],
    ['cli/src/commands/dev.ts', "import type { Dev } from '@inferwire/dev'", 'dev command'],
    ['cli/src/main.ts', "const dev = import('@inferwire/dev')", 'dev command'],
    ['connector/src/a.ts', "import { dev } from '@inferwire/dev'", 'dev command'],
    ['connector/src/a.ts', "import { a } from '../../client/src/a.ts'", 'outside the sources'],
    ['connector/src/a.ts', "import data from '../../../../elsewhere/a.json'", 'outside the sources'],
    ['connector/src/a.ts', "import data from '/etc/a.json'", 'absolute path'],
    ['connector/src/a.ts', "import { x } from './a.test.ts'", 'test file'],
    ['connector/src/a.ts', 'const x = import(name)', 'computes'],
    ['connector/src/pipeline.ts', "import { o } from './internal.ts'", 'internal.ts is for'],
    ['conformance/fixtures/a.ts', "import { t } from '../chaos/tap.ts'", 'table'],
    ['conformance/chaos/a.ts', "import { t } from '../a.test.ts'", 'table'],
    ['conformance/chaos/a.ts', "import { c } from '@inferwire/client'", 'table'],
    ['conformance/chaos/a.ts', "import { c } from '@inferwire/connector/internal'", 'entry point'],
    ['conformance/chaos/a.ts', "import { r } from '../../packages/connector/src/route/index.ts'", 'table'],
    ['conformance/fuzz/a.ts', "import { m } from '../../packages/connector/src/route/table.ts'", 'index.ts'],
    ['conformance/fuzz/a.ts', "import { d } from '../../packages/cli/src/program.ts'", 'index.ts'],
    [
      'conformance/fuzz/a.ts',
      "import { d } from '../../packages/connector/src/route/inner/index.ts'",
      'index.ts',
    ],
    ['conformance/fuzz/a.ts', "import { d } from '../../bench/run.mjs'", 'outside the sources'],
    ['conformance/vault/a.ts', 'export const a = 1', 'no row'],
  ])('rejects this line in %s: %s', (path, source, what) => {
    expect(check(path, source)).toEqual([expect.stringContaining(what)])
  })

  test('rejects a file that is too long', () => {
    expect(check('dev/src/a.ts', '\n'.repeat(FILE_LINES_MAX))).toEqual([])
    expect(check('dev/src/a.ts', '\n'.repeat(FILE_LINES_MAX + 1))).toEqual([
      `packages/dev/src/a.ts has ${FILE_LINES_MAX + 1} lines, more than ${FILE_LINES_MAX}`,
    ])
  })

  test('finds circular imports', () => {
    const files = [
      importing('run', './summary.ts', './tap.ts'),
      importing('summary', './result.ts', '../fixtures/random.ts'),
      importing('result', './run.ts'),
      importing('tap'),
    ]
    expect(findCircles(files)).toEqual([
      'conformance/chaos/run.ts -> conformance/chaos/summary.ts -> conformance/chaos/result.ts -> conformance/chaos/run.ts',
    ])
    expect(findCircles(files.slice(0, 2))).toEqual([])
  })
})
