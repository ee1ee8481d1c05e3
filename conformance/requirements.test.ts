// Every requirement has existing tests or a stated gap, and no page denies a requirement that is met.
import { existsSync, readFileSync } from 'node:fs'
import { PROBLEMS } from '@inferwire/protocol'
import { parseSync } from 'oxc-parser'
import { describe, expect, test } from 'vitest'
import { pageFiles } from './fixtures/page-blocks.ts'
import { denialMistakes, denialsOf, LIMITS, REQUIREMENTS, type Requirement } from './requirements.ts'

const ROOT = new URL('../', import.meta.url)

/** Reports mistakes in a list of requirements, one sentence each. */
function mistakes(requirements: readonly Requirement[], titlesOf: (file: string) => Titles): string[] {
  const ids = new Set<string>()
  return requirements.flatMap((requirement) => {
    const { id, text, tests = [], gap, partly = [] } = requirement
    const found: string[] = []
    if (ids.has(id)) found.push(`${id} exists twice`)
    ids.add(id)
    if (!/^[A-Z].*\.$|^`.*\.$/.test(text)) found.push(`${id} is not one sentence`)
    if (tests.length === 0 && gap === undefined) found.push(`${id} has neither a test nor a gap`)
    if (tests.length > 0 && gap !== undefined) found.push(`${id} is proven; its gap is stale: ${gap}`)
    if (partly.length > 0 && gap === undefined) found.push(`${id} is proven partly, and names no gap`)
    for (const named of [...tests, ...partly]) {
      const [file = '', ...titles] = named.split(' > ')
      const missing = missingTitle(titles, titlesOf(file))
      if (missing !== undefined) found.push(`${id} names "${named}"; ${missing}`)
    }
    return found
  })
}

interface Titles {
  readonly all: readonly string[]
  readonly skipped: readonly string[]
}

function missingTitle(titles: readonly string[], { all, skipped }: Titles): string | undefined {
  if (titles.length === 0) return 'it names a file only'
  for (const title of titles) {
    if (!all.some((each) => each.startsWith(title))) return `there is no "${title}"`
    if (skipped.some((each) => each.startsWith(title))) return `"${title}" is skipped`
  }
  return undefined
}

const read = new Map<string, Titles>()

function titlesOf(file: string): Titles {
  const known = read.get(file)
  if (known !== undefined) return known
  const url = new URL(file, ROOT)
  const titles = existsSync(url) ? readTitles(file, readFileSync(url, 'utf8')) : { all: [], skipped: [] }
  read.set(file, titles)
  return titles
}

// The members of the syntax tree that this test reads.
interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly value?: unknown
  readonly quasis?: readonly { readonly value: { readonly cooked: string } }[]
}

// Titles may be in tables of test.each, so every string in the file counts as a title; comments do not.
function readTitles(file: string, source: string): Titles {
  const all: string[] = []
  const skipped: string[] = []
  const visit = (node: unknown, into: readonly string[][]): void => {
    if (Array.isArray(node)) for (const child of node) visit(child, into)
    if (Array.isArray(node) || typeof node !== 'object' || node === null) return
    const { type, value, quasis, start, end } = node as Node
    if (type === 'Literal' && typeof value === 'string') for (const list of into) list.push(value)
    if (type === 'TemplateLiteral') for (const list of into) list.push(quasis![0]!.value.cooked)
    const isSkipped =
      type === 'CallExpression' && /^(?:test|describe|it)\.(?:skip|todo)\b/.test(source.slice(start, end))
    const inside = isSkipped ? [...into, skipped] : into
    for (const child of Object.values(node)) visit(child, inside)
  }
  visit(parseSync(file, source).program, [all])
  return { all, skipped }
}

describe('the requirements', () => {
  test('have existing tests or a stated gap', () => {
    expect(mistakes(REQUIREMENTS, titlesOf)).toEqual([])
    expect(REQUIREMENTS.length).toBeGreaterThan(60)
  })

  test('name every problem code', () => {
    const words = REQUIREMENTS.map(({ text, gap }) => `${text} ${gap}`).join(' ')
    const unnamed = Object.keys(PROBLEMS).filter((code) => !words.includes(`\`${code}\``))
    expect(unnamed).toEqual([])
  })

  test.each(Array.from({ length: 10 }, (_, index) => `D${index + 1}`))('include promise %s', (id) => {
    expect(REQUIREMENTS.map((requirement) => requirement.id)).toContain(id)
  })
})

describe('the pages', () => {
  test('deny only requirements that are not met, and cite a requirement or a limit for each denial', () => {
    const denials = pageFiles().flatMap((page) => denialsOf(page, readFileSync(new URL(page, ROOT), 'utf8')))
    expect(denialMistakes(denials, REQUIREMENTS, LIMITS)).toEqual([])
    const pages = new Set(denials.map(({ page }) => page))
    for (const page of ['README.md', 'SECURITY.md', 'docs/concepts/delivery.md', 'docs/reliability.md']) {
      expect(pages).toContain(page)
    }
  })
})

const list = (...items: string[]): string => ['## What is not promised', '', ...items].join('\n')

describe('the check of the pages', () => {
  const requirements: Requirement[] = [
    { id: 'KEPT', source: 'x', text: 'Turns go round.', tests: ['a > b'] },
    { id: 'OPEN', source: 'x', text: 'It streams.', gap: 'Later.' },
  ]
  const check = (text: string, limits = [{ id: 'L-ONCE', text: 'Never.' }]): string[] =>
    denialMistakes(denialsOf('a.md', text), requirements, limits)

  test('accepts a denial that cites an open requirement or a limit, and any text that is not a denial', () => {
    expect(
      check(list('- Once. <!-- denies: L-ONCE -->', '- Streams. <!-- denies: OPEN, L-ONCE -->')),
    ).toEqual([])
    expect(
      check(`# A\n\n- Not a denial.\n\n${list('- Once. <!-- denies: L-ONCE -->')}\n\n## B\n\n- C`),
    ).toEqual([])
    expect(check(list('- Once, on', '  two lines. <!-- denies: L-ONCE -->'))).toEqual([])
    expect(check('```\nNot yet: x\n```\n', [])).toEqual([])
  })

  test.each([
    [
      list('- Fairness. <!-- denies: KEPT -->'),
      'denies KEPT, which is met: Turns go round. Correct the page.',
    ],
    ['Text.\n\nA sentence. <!-- denies: KEPT -->', 'denies KEPT, which is met'],
    ['| a | no <!-- denies: KEPT --> |', 'denies KEPT, which is met'],
    [list('- Fairness.'), 'a.md:3 ("- Fairness.") names no requirement and no limit'],
    ['Not yet: gRPC.', 'a.md:1 ("Not yet: gRPC.") names no requirement'],
    ['- Not yet: gRPC.', 'names no requirement'],
    ['## Not promised\n\n* Fairness.', 'names no requirement'],
    [list('- Once. <!-- denies: L-TWICE -->'), 'denies L-TWICE, which does not exist'],
  ])('rejects %j', (text, mistake) => {
    expect(check(text, [])).toEqual([expect.stringContaining(mistake)])
  })

  test('rejects a limit that no page cites', () => {
    expect(check('# A')).toEqual(['No page cites L-ONCE'])
  })
})

describe('the check of the requirements', () => {
  const source = `
    // test('in a comment', () => {})
    test('is there', () => {})
    test.each([['in a table', 1]])('%s', () => {})
    describe.skip('a group', () => { test('inside it', () => {}) })
    test.skip('for later', () => {})
  `
  const check = (requirement: Partial<Requirement>): string[] =>
    mistakes([{ id: 'A', source: 'x', text: 'It works.', ...requirement }], () =>
      readTitles('a.test.ts', source),
    )

  test.each<[Partial<Requirement>]>([
    [{ tests: ['a.test.ts > is there'] }],
    [{ tests: ['a.test.ts > is'] }],
    [{ tests: ['a.test.ts > in a table'] }],
    [{ gap: 'Not built yet.' }],
    [{ gap: 'Not built yet.', partly: ['a.test.ts > is there'] }],
  ])('accepts %j', (requirement) => {
    expect(check(requirement)).toEqual([])
  })

  test.each<[Partial<Requirement>, string]>([
    [{}, 'A has neither a test nor a gap'],
    [{ tests: [] }, 'A has neither a test nor a gap'],
    [{ tests: ['a.test.ts > is there'], gap: 'Later.' }, 'A is proven; its gap is stale: Later.'],
    [{ tests: ['a.test.ts'] }, 'A names "a.test.ts"; it names a file only'],
    [{ tests: ['a.test.ts > is gone'] }, 'A names "a.test.ts > is gone"; there is no "is gone"'],
    [
      { tests: ['a.test.ts > in a comment'] },
      'A names "a.test.ts > in a comment"; there is no "in a comment"',
    ],
    [{ tests: ['a.test.ts > for later'] }, 'A names "a.test.ts > for later"; "for later" is skipped'],
    [{ tests: ['a.test.ts > inside it'] }, 'A names "a.test.ts > inside it"; "inside it" is skipped'],
    [{ gap: 'Later.', text: 'no sentence' }, 'A is not one sentence'],
  ])('rejects %j', (requirement, mistake) => {
    expect(check(requirement)).toEqual([mistake])
  })

  test('rejects a repeated id, and a requirement that is partly proven but states no gap', () => {
    const one: Requirement = { id: 'A', source: 'x', text: 'It works.', gap: 'Later.' }
    expect(mistakes([one, one], titlesOf)).toEqual(['A exists twice'])
    expect(check({ tests: ['a.test.ts > is there'], partly: ['a.test.ts > is there'] })).toEqual([
      'A is proven partly, and names no gap',
    ])
  })
})
