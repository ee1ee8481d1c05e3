import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import * as client from './index.ts'

test('exports exactly the documented API', () => {
  expect(Object.keys(client).toSorted()).toEqual(['InferwireError', 'connect'])
  const types = readFileSync(new URL('index.ts', import.meta.url), 'utf8')
    .split('\n')
    .flatMap((line) => /^export type \{ (.+) \}/.exec(line)?.[1]?.split(', ') ?? [])
    .map((name) => name.replace(/^.* as /, ''))
  expect(types.toSorted()).toEqual([
    'Client',
    'ClientStats',
    'ConnectOptions',
    'ConnectorStatus',
    'InferOptions',
    'InferwireErrorCode',
    'LocalCode',
    'ModelCard',
    'ModelsOptions',
    'Reply',
    'RequestBody',
    'RetainedOptions',
  ])
})

test('imports no Node.js module, and mqtt.js only in the transport, so that browsers can load it', () => {
  const folder = new URL('.', import.meta.url)
  const sources = readdirSync(folder).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  expect(sources.length).toBeGreaterThan(10)
  const importers = (pattern: RegExp): string[] =>
    sources.filter((file) => pattern.test(readFileSync(new URL(file, folder), 'utf8')))
  expect(importers(/from 'node:|\brequire\(|\bprocess\.|\bBuffer\.from/)).toEqual([])
  expect(importers(/from 'mqtt'/)).toEqual(['mqtt-connection.ts', 'mqtt-properties.ts'])
  expect(importers(/from '(?!\.\/|mqtt'|@inferwire\/protocol')/)).toEqual([])
})
