// Tests that changed TLS files are used, and that files in the middle of a change are not.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RotatingTls } from './rotating-tls.ts'
import { LOCALHOST, OTHER_NAME } from './testing/certificates.ts'

let folder: string
let news: string[]
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inferwire-tls-'))
  news = []
  write('ca', LOCALHOST.cert)
  write('cert', LOCALHOST.cert)
  write('key', LOCALHOST.key)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const write = (name: string, text: string): void => writeFileSync(join(folder, name), text)

function files(): RotatingTls {
  const tls = { caFile: join(folder, 'ca'), certFile: join(folder, 'cert'), keyFile: join(folder, 'key') }
  return new RotatingTls(tls, {
    failed: (detail) => news.push(detail),
    recovered: () => news.push('recovered'),
  })
}

test('returns the same object until a file changes, and then the new content', () => {
  const rotating = files()
  const first = rotating.current()
  write('cert', LOCALHOST.cert)
  expect(rotating.current()).toBe(first)
  write('ca', OTHER_NAME.cert)
  expect(rotating.current().ca?.toString()).toBe(OTHER_NAME.cert)
  expect(news).toEqual([])
})

test('uses a new certificate only together with its key', () => {
  const rotating = files()
  const first = rotating.current()
  write('cert', OTHER_NAME.cert)
  expect([rotating.current(), rotating.current()]).toEqual([first, first])
  expect(news).toEqual([expect.stringMatching(/^The changed TLS files cannot be used: .*mismatch/)])
  write('key', OTHER_NAME.key)
  expect(rotating.current().cert?.toString()).toBe(OTHER_NAME.cert)
  expect(news.slice(1)).toEqual(['recovered'])
})

test.each([
  ['is empty', (name: string) => write(name, '')],
  ['is missing', (name: string) => rmSync(join(folder, name))],
  ['contains half of its text', (name: string) => write(name, LOCALHOST.key.slice(0, 90))],
])('keeps the last valid files while one of them %s, and never shows its content', (_, damage) => {
  for (const name of ['ca', 'cert', 'key']) {
    const rotating = files()
    const first = rotating.current()
    damage(name)
    expect(rotating.current()).toBe(first)
    write(name, name === 'key' ? LOCALHOST.key : LOCALHOST.cert)
    expect(rotating.current()).toBe(first)
  }
  expect(news.filter((text) => text === 'recovered')).toHaveLength(3)
  expect(news).toHaveLength(6)
  expect(news.join()).not.toContain(LOCALHOST.key.slice(30, 80))
})
