import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Journal } from './journal.ts'

let folder: string
beforeEach(() => (folder = join(mkdtempSync(join(tmpdir(), 'inferwire-journal-')), 'state')))
afterEach(() => rmSync(join(folder, '..'), { recursive: true }))

test('the journal is clean at the first start and after a clean shutdown, and unclean after a crash', () => {
  const first = new Journal(folder)
  expect(first.wasUnclean).toBe(false)
  expect(new Journal(folder).wasUnclean).toBe(true)
  first.close()
  expect(readdirSync(folder)).toEqual([])
  expect(new Journal(folder).wasUnclean).toBe(false)
})

test('suspects nothing when the process was killed because its shutdown took too long', () => {
  const first = new Journal(folder)
  first.begin('a')
  first.ending()
  const second = new Journal(folder)
  expect([second.wasUnclean, second.attempts.size]).toEqual([false, 0])
})

test('keeps the requests that were in flight at a crash, and counts their attempts', () => {
  const first = new Journal(folder)
  first.begin('survived')
  first.begin('a')
  first.end('survived')
  const second = new Journal(folder)
  expect([...second.attempts]).toEqual([['a', 1]])
  second.begin('a')
  second.begin('b')
  const third = new Journal(folder)
  expect(Object.fromEntries(third.attempts)).toEqual({ a: 2, b: 1 })
  third.begin('a')
  third.end('a')
  expect(Object.fromEntries(new Journal(folder).attempts)).toEqual({ b: 1 })
})

test('counts requests with the same fingerprint as one while any of them runs', () => {
  const first = new Journal(folder)
  first.begin('a')
  first.begin('a')
  first.end('a')
  expect([...new Journal(folder).attempts]).toEqual([['a', 1]])
})

test('suspects nothing after a clean shutdown', () => {
  const first = new Journal(folder)
  first.begin('a')
  first.close()
  expect(new Journal(folder).attempts.size).toBe(0)
})

test('keeps at most 64 records, readable only by their owner', () => {
  const journal = new Journal(folder)
  for (let index = 0; index < 200; index++) journal.begin(`r${index}`)
  const file = join(folder, 'suspects.json')
  const names = Object.keys(JSON.parse(readFileSync(file, 'utf8')) as object)
  expect([names.length, names.at(-1)]).toEqual([64, 'r199'])
  expect([statSync(file).mode & 0o777, statSync(folder).mode & 0o777]).toEqual([0o600, 0o700])
})

test.each(['', 'x', '[]', 'null', '{"a":-1}', '{"a":"1"}', '{"a":1.5}', '1'])(
  'starts, and ignores the file, if its content is %j',
  (text) => {
    new Journal(folder).begin('a')
    writeFileSync(join(folder, 'suspects.json'), text)
    const next = new Journal(folder)
    expect([next.wasUnclean, next.attempts.size]).toEqual([true, 0])
  },
)

test('reports once that its folder has been removed, and continues', () => {
  const reported: string[] = []
  const journal = new Journal(join(folder, 'gone'), ({ message }) => reported.push(message))
  rmSync(join(folder, 'gone'), { recursive: true })
  for (const name of ['a', 'b']) {
    journal.begin(name)
    journal.end(name)
  }
  journal.clear()
  journal.close()
  expect(reported).toHaveLength(1)
  expect(reported[0]).toContain('ENOENT')
})
