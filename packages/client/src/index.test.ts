import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import * as client from './index.ts'

test('exports exactly the documented API', () => {
  expect(Object.keys(client).toSorted()).toEqual([
    'InferwireError',
    'connect',
    'fromBfloat16',
    'fromFloat16',
    'toBfloat16',
    'toFloat16',
    'toFloat32',
  ])
  const text = readFileSync(new URL('index.ts', import.meta.url), 'utf8')
  const types = Array.from(text.matchAll(/^export type \{([^}]+)\}/gm), ([, names]) => names!.split(','))
    .flat()
    .map((name) => name.trim().replace(/^.* as /, ''))
    .filter((name) => name !== '')
  expect(types.toSorted()).toEqual([
    'Client',
    'ClientStats',
    'ConnectOptions',
    'ConnectorStatus',
    'Float16Values',
    'GenerationOptions',
    'InferOptions',
    'InferStream',
    'InferwireErrorCode',
    'InputTensor',
    'InputValues',
    'LocalCode',
    'ModelCard',
    'ModelsOptions',
    'OutputTensor',
    'Reply',
    'RequestBody',
    'ResultOptions',
    'RetainedOptions',
    'StreamOptions',
    'StreamPart',
    'StreamRequest',
    'Submission',
    'SubmitOptions',
    'TensorDatatype',
    'TensorOptions',
    'TensorReply',
    'TokenUsage',
  ])
  // The objects of the OpenAI-compatible API.
  expect(text).toContain("export type * from './openai-types.ts'")
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
