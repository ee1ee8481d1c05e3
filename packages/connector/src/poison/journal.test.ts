import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Journal } from './journal.ts'

let folder: string
beforeEach(() => (folder = join(mkdtempSync(join(tmpdir(), 'inferwire-journal-')), 'state')))
afterEach(() => rmSync(join(folder, '..'), { recursive: true }))

test('the first start, and one after a goodbye, are clean; one after a crash is not', () => {
  const first = new Journal(folder)
  expect(first.wasUnclean).toBe(false)
  expect(new Journal(folder).wasUnclean).toBe(true)
  first.close()
  expect(readdirSync(folder)).toEqual([])
  expect(new Journal(folder).wasUnclean).toBe(false)
})

test('one that was told to end, and killed because it took too long, is no reason to suspect anybody', () => {
  const first = new Journal(folder)
  first.begin('a')
  first.ending()
  const second = new Journal(folder)
  expect([second.wasUnclean, second.attempts.size]).toEqual([false, 0])
})

test('what was under way at the end is known at the next start, with its attempts added up', () => {
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

test('requests that look the same count once while one of them runs', () => {
  const first = new Journal(folder)
  first.begin('a')
  first.begin('a')
  first.end('a')
  expect([...new Journal(folder).attempts]).toEqual([['a', 1]])
})

test('after a clean end nobody is suspected', () => {
  const first = new Journal(folder)
  first.begin('a')
  first.close()
  expect(new Journal(folder).attempts.size).toBe(0)
})

test('at most 64 records, for its user alone', () => {
  const journal = new Journal(folder)
  for (let index = 0; index < 200; index++) journal.begin(`r${index}`)
  const file = join(folder, 'suspects.json')
  const names = Object.keys(JSON.parse(readFileSync(file, 'utf8')) as object)
  expect([names.length, names.at(-1)]).toEqual([64, 'r199'])
  expect([statSync(file).mode & 0o777, statSync(folder).mode & 0o777]).toEqual([0o600, 0o700])
})

test.each(['', 'x', '[]', 'null', '{"a":-1}', '{"a":"1"}', '{"a":1.5}', '1'])(
  'a file with %j says nothing and does not keep the connector from starting',
  (text) => {
    new Journal(folder).begin('a')
    writeFileSync(join(folder, 'suspects.json'), text)
    const next = new Journal(folder)
    expect([next.wasUnclean, next.attempts.size]).toEqual([true, 0])
  },
)

test('a folder that goes away while the process runs is told once, and ends nothing', () => {
  const told: string[] = []
  const journal = new Journal(join(folder, 'gone'), ({ message }) => told.push(message))
  rmSync(join(folder, 'gone'), { recursive: true })
  for (const name of ['a', 'b']) {
    journal.begin(name)
    journal.end(name)
  }
  journal.clear()
  journal.close()
  expect(told).toHaveLength(1)
  expect(told[0]).toContain('ENOENT')
})
