import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { readPasswordFile, writePasswordFile } from './stored-password-file.ts'

const root = mkdtempSync(join(tmpdir(), 'inferwire-stored-'))
let folder: string
let file: string

beforeEach(({ task }) => {
  folder = join(root, task.id)
  mkdirSync(folder)
  file = join(folder, 'passwords')
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

function modeOf(path: string): number {
  return statSync(path).mode & 0o777
}

test('a new file is readable by its owner only, and no temporary file remains', () => {
  expect(writePasswordFile(file, 'a:b\n')).toBe(false)
  expect(modeOf(file)).toBe(0o600)
  expect(readdirSync(folder)).toEqual(['passwords'])
  expect(readPasswordFile(file)).toMatchObject({ text: 'a:b\n', isUtf8: true, isSymbolicLink: false })
})

test.each([
  [0o600, 0o600, false],
  [0o640, 0o640, false],
  [0o644, 0o640, true],
  [0o666, 0o640, true],
])('writing an existing file changes its mode from %o to %o', (before, after, isTold) => {
  writeFileSync(file, 'old')
  chmodSync(file, before)
  expect(writePasswordFile(file, 'new')).toBe(isTold)
  expect(modeOf(file)).toBe(after)
})

test('replaces the target of a symbolic link, and keeps the link', () => {
  writeFileSync(join(folder, 'real'), 'old')
  symlinkSync('real', file)
  writePasswordFile(file, 'new')
  expect(lstatSync(file).isSymbolicLink()).toBe(true)
  expect(readFileSync(join(folder, 'real'), 'utf8')).toBe('new')
  expect(readPasswordFile(file).isSymbolicLink).toBe(true)
})

test('a process that has opened the old file continues to read the old content', () => {
  writeFileSync(file, 'old')
  const before = statSync(file).ino
  writePasswordFile(file, 'new')
  expect(statSync(file).ino).not.toBe(before)
})

test('rejects a folder, a missing folder and a device, and leaves no temporary file', () => {
  expect(() => writePasswordFile(folder, 'x')).toThrow('not a regular file')
  expect(() => writePasswordFile(join(folder, 'no', 'file'), 'x')).toThrow('ENOENT')
  expect(() => writePasswordFile('/dev/null', 'x')).toThrow('not a regular file')
  expect(readdirSync(folder)).toEqual([])
  expect(() => readPasswordFile(folder)).toThrow('EISDIR')
  expect(() => readPasswordFile(file)).toThrow('ENOENT')
  expect(() => readPasswordFile('/dev/zero')).toThrow('larger than')
})

test('bytes that are not UTF-8 are reported', () => {
  writeFileSync(file, Buffer.from([0xef, 0xbb, 0xbf, 0x61, 0xff]))
  expect(readPasswordFile(file)).toMatchObject({ text: '\ufeffa\ufffd', isUtf8: false })
})
