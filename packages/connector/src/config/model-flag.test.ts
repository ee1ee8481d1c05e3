import { expect, test } from 'vitest'
import { parseModelFlag } from './model-flag.ts'

test('takes the name, the URL and settings', () => {
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
  ['iris=http://h,', 'does not understand ""'],
  ['iris=http://h,protocolVersion', 'does not understand protocolVersion'],
  ['iris=http://h,protocolVersion=', 'does not understand "protocolVersion="'],
  ['iris=http://h,port=1', 'does not understand "port=1"'],
  ['iris@1=http://h', 'iris@1 is not a model name'],
  ['__proto__=http://h', '__proto__ is not a model name'],
])('shows the right form to %j', (flag, message) => {
  expect(() => parseModelFlag(flag)).toThrow(message)
  expect(() => parseModelFlag(flag)).toThrow('NAME=URL[,protocolVersion=v1|v2][,modelName=NAME_ON_SERVER]')
})
