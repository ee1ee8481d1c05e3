import { expect, test } from 'vitest'
import { parseModelFlag } from './model-flag.ts'

test('parses the name, the URL and the settings', () => {
  expect(parseModelFlag('iris=http://127.0.0.1:8080')).toEqual(['iris', { url: 'http://127.0.0.1:8080' }])
  expect(parseModelFlag('a.b=http://h/x=y,protocolVersion=v1,modelName=up,host=h.example.com')).toEqual([
    'a.b',
    { url: 'http://h/x=y', protocolVersion: 'v1', modelName: 'up', host: 'h.example.com' },
  ])
})

test.each([
  ['', 'expected NAME=URL'],
  ['iris', 'expected NAME=URL'],
  ['=http://h', 'expected NAME=URL'],
  ['iris=', 'expected NAME=URL'],
  ['iris=http://h,', 'has the unknown setting ""'],
  ['iris=http://h,protocolVersion', 'has the unknown setting protocolVersion'],
  ['iris=http://h,protocolVersion=', 'has the unknown setting "protocolVersion="'],
  ['iris=http://h,port=1', 'has the unknown setting "port=1"'],
  ['iris@1=http://h', 'iris@1 is not a model name'],
  ['__proto__=http://h', '__proto__ is not a model name'],
])('rejects %j, and shows the expected form', (flag, message) => {
  expect(() => parseModelFlag(flag)).toThrow(message)
  expect(() => parseModelFlag(flag)).toThrow(
    'NAME=URL[,protocolVersion=grpc-v2|openai|v1|v2][,modelName=NAME_ON_SERVER]',
  )
})

test('rejects a repeated setting', () => {
  expect(() => parseModelFlag('iris=http://h,host=a,host=b')).toThrow('sets host twice')
})
