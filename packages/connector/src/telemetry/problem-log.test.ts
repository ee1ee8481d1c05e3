import { Problem, PROBLEMS, type ProblemCode } from '@inferwire/protocol'
import { expect, test } from 'vitest'
import { createLog } from './log.ts'
import { ProblemLog } from './problem-log.ts'

function arrange(level: 'debug' | 'warn' = 'debug') {
  const lines: Record<string, unknown>[] = []
  const log = createLog(
    { level, format: 'json' },
    { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  )
  return { lines, problems: new ProblemLog(log) }
}

const problemOf = (code: ProblemCode): Problem =>
  new Problem(code, 'safe words', { detail: 'http://10.0.0.7' })

const IRIS = { client: 'cam7', model: 'iris', operation: 'infer' }

test('writes one line per second for each model and code, with the number of suppressed lines', () => {
  const { lines, problems } = arrange()
  for (let ms = 0; ms < 2_500; ms++) problems.report(problemOf('overloaded'), IRIS, ms)
  expect(lines.map(({ suppressed }) => suppressed)).toEqual([undefined, 999, 999])
  problems.report(problemOf('overloaded'), { ...IRIS, model: 'digits' }, 2_500)
  problems.report(problemOf('bad_payload'), IRIS, 2_500)
  expect(lines).toHaveLength(5)
})

test('logs each problem with its fields, at the level of its code', () => {
  for (const code of Object.keys(PROBLEMS) as ProblemCode[]) {
    const { lines, problems } = arrange()
    problems.report(problemOf(code), IRIS, 0)
    expect(lines).toEqual([
      expect.objectContaining({
        level: PROBLEMS[code].log,
        event: 'request_failed',
        code,
        status: PROBLEMS[code].status,
        client: 'cam7',
        model: 'iris',
        operation: 'infer',
        detail: 'http://10.0.0.7',
        msg: 'safe words',
      }),
    ])
  }
})

test('logs the beginning of a long client name, with control characters replaced', () => {
  const { lines, problems } = arrange()
  problems.report(problemOf('overloaded'), { ...IRIS, client: `\u001b[2J\u202e${'x'.repeat(200)}` }, 0)
  problems.report(problemOf('bad_topic'), { ...IRIS, client: undefined }, 0)
  expect(lines[0]!['client']).toBe(`\ufffd[2J\ufffd${'x'.repeat(123)}…`)
  expect(lines[1]).not.toHaveProperty('client')
})

test('neither writes nor counts problems below the configured level', () => {
  const { lines, problems } = arrange('warn')
  problems.report(problemOf('bad_topic'), IRIS, 0)
  expect(lines).toEqual([])
})

test('when late reports of removed models add too many windows, drops the oldest', () => {
  const { lines, problems } = arrange()
  const report = (model: string, ms: number): void =>
    problems.report(problemOf('overloaded'), { ...IRIS, model }, ms)
  for (const model of ['old', 'old', 'used', 'used']) report(model, 0)
  for (let count = 0; count < 9_998; count++) report(`removed-${count}`, 1)
  report('used', 2_000)
  expect(lines.at(-1)).toMatchObject({ model: 'used', suppressed: 1 })
  report('one-more', 2_000)
  report('old', 2_000)
  expect(lines.at(-1)).not.toHaveProperty('suppressed')
  report('used', 2_000)
  report('used', 3_000)
  expect(lines.at(-1)).toMatchObject({ model: 'used', suppressed: 1 })
})

test("drops a model's count of suppressed lines when the model is removed", () => {
  const { lines, problems } = arrange()
  for (const model of ['iris', 'iris@2']) {
    for (let ms = 0; ms < 10; ms++) problems.report(problemOf('overloaded'), { ...IRIS, model }, ms)
  }
  problems.forget('iris')
  for (const model of ['iris', 'iris@2']) problems.report(problemOf('overloaded'), { ...IRIS, model }, 1_000)
  expect(lines.slice(2).map(({ suppressed }) => suppressed)).toEqual([undefined, 9])
})
