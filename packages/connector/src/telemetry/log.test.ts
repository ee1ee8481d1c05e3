import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLog, type LogOptions } from './log.ts'

function arrange(format: LogOptions['format'], level: LogOptions['level'] = 'info', isTTY = false) {
  const lines: string[] = []
  const log = createLog({ level, format }, { isTTY, write: (text) => lines.push(text) })
  return { lines, log }
}

test("writes no control characters to a terminal, even those in a client's topic", () => {
  const nasty = fc.oneof(
    fc.constantFrom(
      '\u001b[2J',
      '\r\n',
      '\u202e',
      '\u0007',
      '\u009b31m',
      '\u200b',
      '\u2066',
      '\ufeff',
      '\u2028',
    ),
    fc.string({ unit: 'binary' }),
  )
  fc.assert(
    fc.property(nasty, nasty, nasty, (message, value, key) => {
      const { lines, log } = arrange('pretty')
      log.info({ topic: value, deep: { list: [value] }, [`k${key}`]: value }, message)
      expect(lines).toHaveLength(1)
      expect(lines[0]).toMatch(/^[^\p{Cc}\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]*\n$/u)
    }),
    { numRuns: 1_000 },
  )
})

test('on a terminal, a line contains time, level, message and fields', () => {
  const { lines, log } = arrange('auto', 'info', true)
  log.warn({ event: 'x_happened', count: 2, keys: ['a'] }, 'Something happened.')
  expect(lines[0]).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} {2}WARN {3}Something happened\. {2}event=x_happened {2}count=2 {2}keys=\["a"\]\n$/,
  )
})

test('without a terminal, an event is one line of JSON that contains the name of its level', () => {
  const { lines, log } = arrange('auto')
  log.error({ event: 'x', topic: 'a\nb\u001b' }, 'two\nlines')
  expect(lines).toHaveLength(1)
  expect(lines[0]!.indexOf('\n')).toBe(lines[0]!.length - 1)
  expect(lines[0]).not.toContain('\u001b')
  expect(JSON.parse(lines[0]!)).toMatchObject({
    level: 'error',
    event: 'x',
    topic: 'a\nb\u001b',
    msg: 'two\nlines',
  })
  expect(JSON.parse(lines[0]!)).not.toHaveProperty('pid')
})

test('does not write events below the configured level', () => {
  const { lines, log } = arrange('json', 'warn')
  log.info('no')
  log.debug('no')
  log.warn('yes')
  expect(lines).toHaveLength(1)
})
