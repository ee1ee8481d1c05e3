import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { operationOf, parseOperation, readRequestBody } from './request-body.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'inferwire-cli-'))
  writeFileSync(join(folder, 'body.json'), '{"inputs":[]}')
  writeFileSync(join(folder, 'image.jpg'), Buffer.from([0xff, 0xd8]))
})
afterAll(() => rmSync(folder, { recursive: true }))

test.each([
  ['{"instances":[[1]]}', 'predict'],
  ['{"inputs":[]}', 'infer'],
  ['{"prompt":"x"}', undefined],
  ['[1]', undefined],
  ['null', undefined],
  ['no JSON', undefined],
])('body %s implies operation %s', (body, operation) => {
  expect(operationOf(Buffer.from(body))).toBe(operation)
})

test('returns the same bytes for -d and -f, and the file name for -f', async () => {
  const file = join(folder, 'body.json')
  expect(await readRequestBody({ data: '{"inputs":[]}' })).toEqual({
    bytes: Buffer.from('{"inputs":[]}'),
    file: undefined,
  })
  expect(await readRequestBody({ file })).toEqual({ bytes: Buffer.from('{"inputs":[]}'), file })
})

test('accepts a body that is not JSON if --content-type is given', async () => {
  const file = join(folder, 'image.jpg')
  expect((await readRequestBody({ file, contentType: 'image/jpeg' }))?.bytes).toHaveLength(2)
})

test.each([
  [{ data: '{"instances":' }, 65, /-d is not JSON/],
  [{ data: '' }, 65, /not JSON/],
  [{ file: '/does/not/exist' }, 66, /cannot be read/],
  [{ file: tmpdir() }, 66, /cannot be read/],
  [{ data: '{}', file: 'x' }, 64, /together/],
])('rejects %j with exit code %i', async (source, exitCode, message) => {
  await expect(readRequestBody(source)).rejects.toMatchObject({
    exitCode,
    message: expect.stringMatching(message) as string,
  })
})

test('refers to --input for a numpy array', async () => {
  const file = join(folder, 'x.npy')
  writeFileSync(file, Buffer.from('\x93NUMPY\x01\x00', 'latin1'))
  await expect(readRequestBody({ file })).rejects.toMatchObject({
    exitCode: 65,
    message: `file "${file}" is a numpy array`,
    remedy: 'Use --input instead of -f.',
  })
})

test('rejects a file of 600 MB as too large, not as invalid UTF-8', async () => {
  const file = join(folder, 'large.json')
  writeFileSync(file, '')
  // A sparse file: it uses no disk space and is never read.
  truncateSync(file, 600_000_000)
  await expect(readRequestBody({ file })).rejects.toMatchObject({
    exitCode: 65,
    message: `file "${file}" is larger than 268435456 bytes, MQTT's limit`,
  })
})

test('rejects an unknown operation', () => {
  expect(parseOperation('predict')).toBe('predict')
  expect(() => parseOperation('constructor')).toThrow(expect.objectContaining({ exitCode: 64 }))
})
