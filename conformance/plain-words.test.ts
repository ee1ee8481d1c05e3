// Checks that the prose of the repository contains no phrase from the list in architecture/plain-words.ts.
import { describe, expect, test } from 'vitest'
import { CELL_COLUMNS_MAX, findLongLines, LINE_COLUMNS_MAX } from './architecture/markdown-lines.ts'
import { findDialect } from './architecture/plain-words.ts'
import { proseFiles } from './architecture/prose-files.ts'

describe('the repository', () => {
  const files = proseFiles()

  test('contains no listed phrase in its comments, strings, test names and pages', () => {
    expect(files.flatMap(findDialect)).toEqual([])
  })

  test('contains no page with a line or a table cell that is too long to read', () => {
    const pages = files.filter(({ path }) => path.endsWith('.md'))
    expect(pages.flatMap(findLongLines)).toEqual([])
  })

  test('is checked completely: sources, tests, scripts, pages and charts', () => {
    for (const path of [
      'packages/protocol/src/topic.ts',
      'packages/protocol/src/topic.test.ts',
      'conformance/requirements/delivery.ts',
      'scripts/check.mjs',
      'bench/README.md',
      'docs/reference/problems.md',
      'charts/inferwire/values.yaml',
      'README.md',
    ]) {
      expect(files.map((file) => file.path)).toContain(path)
    }
    expect(files.length).toBeGreaterThan(500)
  })
})

const found = (path: string, text: string): string[] =>
  findDialect({ path, text }).map((hit) => /: "(.*?)": write "/.exec(hit)?.[1] ?? hit)

const long = (text: string): string[] => findLongLines({ path: 'a.md', text })

describe('the list of phrases', () => {
  test.each([
    ['// Innocence, when a request comes again.', 'comes again'],
    ['// ended without saying goodbye: requests that come again are watched', 'without saying goodbye'],
    ['// A client whose request is asked again gets the kept reply.', 'asked again'],
    ['// The broker refuses a client that comes back at once.', 'comes back at once'],
    ['// V8 allocates there among the old for ever.', 'for ever'],
    ['// It is turned away for its size all the same.', 'all the same'],
    ['/** Turned away with its turn in hand. */', 'Turned away'],
    ['// The innocent get through.', 'innocent'],
    ['// The guilty one comes to be alone.', 'guilty'],
    ['const text = "must be convicted"', 'convicted'],
    ['const text = `acquitted after ${n} runs`', 'acquitted'],
    ['// A server that nobody asks for this long is not silent.', 'nobody'],
    ["test('a topic of nobody is none', () => {})", 'nobody'],
    ['// Whether somebody was there.', 'somebody'],
    ['// for whoever has to answer for a plant', 'whoever'],
    ["const line = '# Nobody without a password, and everybody under the own name only.'", 'everybody'],
    ["test('called %j may nothing where the name counts', () => {})", 'may nothing'],
    ['// Shows a user the own replies.', 'the own replies'],
    ['// The retained message takes away the old card.', 'takes away'],
    ['// Counted when it was taken by the broker.', 'taken by the broker'],
    ['// Makes a configured model askable.', 'askable'],
    ["/** See the file's first line. The colon stays. */", "See the file's first line"],
    ['// The front of the endpoint room.', 'The front of the endpoint room'],
    ['// What comes again comes now.', 'What comes'],
    ['// V8 begins to collect for the sake of bodies.', 'for the sake of'],
    ['// A request is to be repeated by its client, be it an error.', 'is to be repeated'],
    ['// The file is read when the broker says it.', 'broker says'],
    ["test('a refused filter is told', () => {})", 'is told'],
    ['/** An error that says which file it was. */', 'says which'],
  ])('catches %s', (line, words) => {
    expect(found('a.ts', line)).toContain(words)
  })

  test.each([
    ['// Redelivered requests are monitored after an unclean end.'],
    ['// Idle time is not counted as silence.'],
    ['// The properties of a truncated packet are unknown; it is rejected as too large anyway.'],
    ['// Disables allocation-site pretenuring: otherwise V8 may allocate per-request objects in old space.'],
    ['// The reply is undeliverable; repeated requests get the problem instead.'],
    ['const text = "Grant the connector\'s user read access to it."'],
    ["test('a user named %j may access nothing', () => {})"],
    ['// Replies are told apart by Correlation Data, each on its own topic.'],
    ['// MQTT 5 §4.6 specifies the order. Both sides reconnect at once.'],
    ['// What a pod may learn about itself: the downward API.'],
    ['// Sets the time-out, which the client knows.'],
    ["import nobody from './nobody.ts'\nnobody.whoever()"],
  ])('accepts %s', (line) => {
    expect(found('a.ts', line)).toEqual([])
  })

  test('reports file, line, phrase and replacement, also across a line break', () => {
    const text = 'const a = 1\n  // It waits until the request comes\n  // again, and\n  // for ever.\n'
    expect(findDialect({ path: 'packages/a/src/a.ts', text })).toEqual([
      'packages/a/src/a.ts:2: "comes again": write "redelivered"',
      'packages/a/src/a.ts:4: "for ever": write "forever"',
    ])
  })

  test('applies to prose, but not to code, code blocks, inline code, comments and links', () => {
    expect(found('a.md', 'It waits for ever.')).toEqual(['for ever'])
    expect(found('a.md', '| a | nobody |')).toEqual(['nobody'])
    const code = '```\nfor ever\n```\n\n`nobody` <!-- nobody --> [a](nobody.md) https://nobody.example/\n'
    expect(found('a.md', code)).toEqual([])
    expect(found('a.yaml', 'user: nobody # for ever')).toEqual(['for ever'])
    expect(found('a.c', 'int nobody; /* for ever */')).toEqual(['for ever'])
    expect(() => found('a.ts', 'import {')).toThrow('a.ts does not parse')
  })
})

describe('the check of the lengths in a page', () => {
  const line = 'word '.repeat(LINE_COLUMNS_MAX / 5)

  test('catches a line that prettier would wrap', () => {
    expect(long(`First.\n${line}x`)).toEqual([`a.md:2: ${LINE_COLUMNS_MAX + 1} columns, more than 120`])
    expect(long(line)).toEqual([])
  })

  test('accepts a long line in a code block, and a long link or a long command in a line', () => {
    expect(long(`\`\`\`\n${line}x\n\`\`\``)).toEqual([])
    expect(long(`A [page](${'x'.repeat(LINE_COLUMNS_MAX)}).`)).toEqual([])
    expect(long(`Run \`npm ${line}\`.`)).toEqual([])
  })

  test('catches a table cell with a long text, and accepts a list of names', () => {
    const essay = 'x'.repeat(CELL_COLUMNS_MAX + 1)
    expect(long(`| a | ${essay} |`)).toEqual([
      expect.stringContaining('a.md:1: a table cell of 161 characters'),
    ])
    expect(long(`| a | ${essay.slice(1)} |`)).toEqual([])
    expect(long(`| a | ${'`name`, '.repeat(60)} |`)).toEqual([])
    expect(long(`| --- | ${'-'.repeat(300)} |`)).toEqual([])
  })
})
