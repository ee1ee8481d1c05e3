import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { StateInUse, StateLock } from './state-lock.ts'

let folder: string
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'inferwire-lock-'))))
afterEach(() => rmSync(folder, { recursive: true }))

test('only one process can hold the lock of a folder, until it releases the lock', async () => {
  const first = await StateLock.take(join(folder, 'state'))
  await expect(StateLock.take(join(folder, 'state'))).rejects.toThrow(StateInUse)
  await expect(StateLock.take(join(folder, 'state'))).rejects.toMatchObject({ pid: String(process.pid) })
  first?.release()
  const second = await StateLock.take(join(folder, 'state'))
  expect(second).toBeDefined()
  second?.release()
})

test('takes over the lock of a killed process', async () => {
  writeFileSync(join(folder, 'lock'), '')
  const lock = await StateLock.take(folder)
  expect(lock).toBeDefined()
  lock?.release()
})

test('on release, removes a folder that it created, unless the folder contains files', async () => {
  const own = await StateLock.take(join(folder, 'state'))
  own?.release()
  expect(existsSync(join(folder, 'state'))).toBe(false)
  const used = await StateLock.take(join(folder, 'state'))
  writeFileSync(join(folder, 'state', 'journal'), '')
  used?.release()
  expect(existsSync(join(folder, 'state', 'journal'))).toBe(true)
  const configured = mkdtempSync(join(folder, 'configured-'))
  const theirs = await StateLock.take(configured)
  theirs?.release()
  expect(existsSync(configured)).toBe(true)
})

test('returns no lock for a folder that cannot contain a socket', async () => {
  writeFileSync(join(folder, 'file'), '')
  expect(await StateLock.take(join(folder, 'file'))).toBeUndefined()
  expect(await StateLock.take(join(folder, 'x'.repeat(200)))).toBeUndefined()
})
