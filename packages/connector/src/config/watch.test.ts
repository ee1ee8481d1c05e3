// Uses real files and fake timers.
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { watchConfig } from './watch.ts'

let folder: string
let changes: number
let watch: { stop(): void } | undefined

beforeEach(() => {
  vi.useFakeTimers()
  folder = mkdtempSync(join(tmpdir(), 'inferwire-watch-'))
  changes = 0
})
afterEach(() => {
  watch?.stop()
  vi.useRealTimers()
  rmSync(folder, { recursive: true, force: true })
})

function start(path: string): void {
  watch = watchConfig(path, () => (changes += 1))
}

// Works like the kubelet: creates a folder and a symlink that points to it, and renames the symlink to `..data`.
function swap(version: string, text: string): void {
  mkdirSync(join(folder, version))
  writeFileSync(join(folder, version, 'inferwire.yaml'), text)
  symlinkSync(version, join(folder, '..data_tmp'))
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
}

test('reports a change in a ConfigMap volume once', () => {
  swap('..1', 'root: a')
  symlinkSync('..data/inferwire.yaml', join(folder, 'inferwire.yaml'))
  start(join(folder, 'inferwire.yaml'))
  vi.advanceTimersByTime(5_000)
  expect(changes).toBe(0)
  swap('..2', 'root: b')
  vi.advanceTimersByTime(10_000)
  expect(changes).toBe(1)
})

test('reports a changed file after one interval without changes, and a deleted file only after it exists again', () => {
  const file = join(folder, 'inferwire.yaml')
  writeFileSync(file, 'root: a')
  start(file)
  for (const text of ['r', 'root', 'root: bc']) {
    writeFileSync(file, text)
    vi.advanceTimersByTime(1_000)
  }
  expect(changes).toBe(0)
  vi.advanceTimersByTime(1_000)
  expect(changes).toBe(1)
  rmSync(file)
  vi.advanceTimersByTime(5_000)
  expect(changes).toBe(1)
  writeFileSync(file, 'root: defg')
  vi.advanceTimersByTime(2_000)
  expect(changes).toBe(2)
})

test('reports nothing after stop', () => {
  const file = join(folder, 'inferwire.yaml')
  writeFileSync(file, 'root: a')
  start(file)
  watch!.stop()
  writeFileSync(file, 'root: bcd')
  vi.advanceTimersByTime(10_000)
  expect(changes).toBe(0)
})
