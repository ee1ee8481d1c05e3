// Tests the order, the prerequisites and the time limit of checks, and the text report.
import { expect, test } from 'vitest'
import { fault, notChecked, ok, warning, type Check, type Outcome } from './check.ts'
import { CHECKS } from './checks.ts'
import type { DoctorContext } from './context.ts'
import { isUtf8Locale, TextReport } from './report-text.ts'
import { runChecks } from './run-checks.ts'

const CONTEXT = { timeoutMs: 50 } as DoctorContext
const SILENT = { started: () => {}, finished: () => {} }

function check(id: string, needs: readonly string[], run: () => Promise<Outcome> | Outcome): Check {
  return { id, title: `title of ${id}`, needs, run }
}

async function states(...checks: Check[]): Promise<string[]> {
  return (await runChecks(checks, CONTEXT, SILENT)).map(({ state, reason }) => reason ?? state)
}

test('a check needs only checks above it, and ids are unique', () => {
  const seen = new Set<string>()
  for (const { id, needs } of CHECKS) {
    for (const need of needs) expect(seen, id).toContain(need.replace(/\?$/, ''))
    expect(seen).not.toContain(id)
    seen.add(id)
  }
})

test('skips a check whose prerequisite failed, and names the first cause', async () => {
  const bad = check('a.bad', [], () => fault('bad', 'remedy'))
  const next = check('a.next', ['a.bad'], () => ok('next'))
  const last = check('a.last', ['a.next'], () => ok('last'))
  expect(await states(bad, next, last)).toEqual(['fault', 'a.bad failed', 'a.bad failed'])
})

test('a warning does not block; a skipped check blocks only a strict prerequisite', async () => {
  const odd = check('a.odd', [], () => warning('odd', 'remedy'))
  const none = check('a.none', [], () => notChecked('there is none'))
  const strict = check('a.strict', ['a.odd', 'a.none'], () => ok('strict'))
  const lenient = check('a.lenient', ['a.odd', 'a.none?'], () => ok('lenient'))
  expect(await states(odd, none, strict, lenient)).toEqual([
    'warning',
    'there is none',
    'there is none',
    'ok',
  ])
})

test('a check that hangs or throws is a fault, and the next check runs', async () => {
  const hang = check('a.hang', [], () => new Promise<Outcome>(() => {}))
  const broken = check('a.broken', [], () => {
    throw new TypeError('broken')
  })
  const next = check('a.next', [], () => ok('next'))
  const [hung, threw, passed] = await runChecks([hang, broken, next], CONTEXT, SILENT)
  expect(hung).toMatchObject({
    state: 'fault',
    findings: [{ message: 'The check did not end within 0.05 s.' }],
  })
  expect(threw!.state).toBe('fault')
  expect(passed!.state).toBe('ok')
})

async function textOf(isTerminal: boolean, isUtf8: boolean): Promise<string> {
  let text = ''
  const report = new TextReport({ isTerminal, isUtf8, write: (part) => (text += part) })
  const checks = [
    check('one.good', [], () => ok('Good.')),
    check('one.bad', [], () => fault('Bad\u001b[2J.', 'Do this:\nline: 1')),
    check('two.odd', [], () => warning('Odd.', 'Do that.')),
    check('two.next', ['one.bad'], () => ok('Next.')),
  ]
  report.ended(await runChecks(checks, CONTEXT, report))
  return text
}

test('prints plain ASCII if the output is not a terminal', async () => {
  expect(await textOf(false, true)).toBe(
    [
      'one',
      '  ok one.good: Good.',
      '  FAULT one.bad: Bad\ufffd[2J.',
      '      Do this:',
      '      line: 1',
      '',
      'two',
      '  warning two.odd: Odd.',
      '      Do that.',
      '  skipped two.next: not checked, because one.bad failed',
      '',
      'Faults were found: 1 passed, 1 with warnings, 1 failed, 1 not checked.',
      '',
    ].join('\n'),
  )
})

test('prints symbols and the running check on a terminal with UTF-8', async () => {
  const text = await textOf(true, true)
  expect(text).toContain('  one.good: title of one.good ...\r\u001b[K  √ one.good: Good.\n')
  expect(text).toContain('  × one.bad')
  expect(text).toContain('  ‼ two.odd')
  expect(await textOf(true, false)).toContain('  FAULT one.bad')
})

test.each([
  [{ LANG: 'en_US.UTF-8' }, true],
  [{ LANG: 'C.utf8' }, true],
  [{ LANG: 'en_US.UTF-8', LC_ALL: 'C' }, false],
  [{}, false],
])('the locale %j has UTF-8: %s', (env, isUtf8) => {
  expect(isUtf8Locale(env)).toBe(isUtf8)
})
